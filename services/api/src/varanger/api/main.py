"""`varanger-api serve | relay | recorder | migrate | key`."""

import argparse
import asyncio
import sys

from varanger.api.application.keys import create_key
from varanger.api.domain.access import KeyLimits, Scope
from varanger.api.gateway.server import serve
from varanger.api.recorder import build_recorder
from varanger.api.relay import build_relay
from varanger.common.catalog import open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.process import run_process
from varanger.common.settings import Settings
from varanger.common.telemetry.logs import configure_logs


def main() -> None:
    """The console script `varanger-api`."""
    parser = argparse.ArgumentParser(prog="varanger-api", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("serve", "relay", "recorder", "migrate"):
        commands.add_parser(name)
    key = commands.add_parser("key", help="make an API key and print it, once")
    key.add_argument("--project", default="*", help="project id, or * for all")
    key.add_argument("--scope", action="append", choices=list(Scope), required=True)
    key.add_argument("--label", default="", help="whose key it is")
    key.add_argument("--requests-per-minute", type=int, help="of each gateway; 0: no limit; none: the setting's")
    key.add_argument("--bytes-per-hour", type=int, help="it may send to each gateway; 0: no limit; none: the setting's")
    chosen = parser.parse_args()
    match chosen.command:
        case "serve":
            serve()
        case "relay":
            run_process("relay", build_relay)
        case "recorder":
            run_process("recorder", build_recorder)
        case "migrate":
            settings = Settings()
            configure_logs("migrate", log_format=settings.log_format, level=settings.log_level)
            migrate(settings.catalog_url)
        case "key":
            try:
                limits = KeyLimits(chosen.requests_per_minute, chosen.bytes_per_hour)
            except ValueError as error:
                parser.error(str(error))
            scopes = [Scope(one) for one in chosen.scope]
            sys.stdout.write(asyncio.run(_make_key(chosen.project, scopes, chosen.label, limits)) + "\n")


async def _make_key(project: str, scopes: list[Scope], label: str, limits: KeyLimits) -> str:
    catalog = open_catalog(Settings().catalog_url)
    try:
        await catalog.check_revision()
        return await create_key(catalog, scopes=scopes, project_id=project, label=label, limits=limits)
    finally:
        await catalog.close()


if __name__ == "__main__":
    main()
