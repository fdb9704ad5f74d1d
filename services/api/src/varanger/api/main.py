"""`varanger-api serve | relay | recorder | migrate`."""

import argparse

from varanger.api.gateway.server import serve
from varanger.api.recorder import build_recorder
from varanger.api.relay import build_relay
from varanger.common.catalog.migrate import migrate
from varanger.common.process import run_process
from varanger.common.settings import Settings
from varanger.common.telemetry.logs import configure_logs


def main() -> None:
    """The console script `varanger-api`."""
    parser = argparse.ArgumentParser(prog="varanger-api", description=__doc__)
    parser.add_argument("process", choices=["serve", "relay", "recorder", "migrate"])
    match parser.parse_args().process:
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


if __name__ == "__main__":
    main()
