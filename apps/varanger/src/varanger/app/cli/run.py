"""`up`, `demo`, `migrate`, `doctor`: running things."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from varanger.app.demo import run_demo
from varanger.app.doctor import examine_machine
from varanger.app.embedded import embedded_settings, keep_running
from varanger.common.catalog.migrate import migrate as migrate_catalog
from varanger.common.settings import Settings

DATA = Path(".varanger")
console = Console()


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (up, demo, migrate, doctor):
        app.command()(command)


def up(
    data: Annotated[Path, typer.Option(help="data folder")] = DATA,
    port: Annotated[int, typer.Option(help="HTTP port on this machine")] = 8000,
) -> None:
    """Run every service in one process, until Ctrl-C."""

    def say(url: str) -> None:
        console.print(f"Varanger runs on [bold]{url}[/]   API: {url}/docs   data: {data.resolve()}   stop: Ctrl-C")

    asyncio.run(keep_running(embedded_settings(data, port=port), data.resolve(), say))


def demo(
    images: Annotated[Path | None, typer.Option(help="a folder of your own images instead of simulated ones")] = None,
    data: Annotated[Path, typer.Option(help="data folder; `varanger up` shows it afterwards")] = DATA,
    number: Annotated[int, typer.Option(help="simulated images to draw", min=20)] = 200,
    seed: Annotated[int, typer.Option(help="seed of the simulated season")] = 1,
) -> None:
    """The whole workflow once: upload, classify, quality check, dataset; and what happened."""
    asyncio.run(run_demo(console, data.resolve(), images=images, number=number, seed=seed))


def migrate() -> None:
    """Bring the catalog at VARANGER_CATALOG_URL to this version's schema."""
    revision = migrate_catalog(Settings().catalog_url)
    console.print(f"The catalog is at revision {revision}.")


def doctor() -> None:
    """Say what is missing on this machine, and how to get it."""
    if not examine_machine(console):
        raise typer.Exit(1)
