"""`key create`, `dlq list | replay`: for operators."""

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from varanger.api.application.dead_letters import open_dead_letters
from varanger.api.application.dead_letters import replay as replay_dead_letters
from varanger.api.application.keys import create_key
from varanger.api.domain.access import KeyLimits, Scope
from varanger.app.opened import opened_catalog

keys = typer.Typer(no_args_is_help=True, help="API keys.")
dead_letters = typer.Typer(no_args_is_help=True, help="Messages nobody could handle.")
console = Console()
DataOption = Annotated[Path | None, typer.Option("--data", help="data folder of the embedded mode")]


@keys.command("create")
def create(
    *,
    project: Annotated[str, typer.Option(help="project id, or * for all")],
    scope: Annotated[list[Scope], typer.Option(help="upload, read, review, admin; may be repeated")],
    label: Annotated[str, typer.Option(help="whose key it is")] = "",
    requests_per_minute: Annotated[int | None, typer.Option(min=0, help="of each gateway; 0: no limit")] = None,
    bytes_per_hour: Annotated[int | None, typer.Option(min=0, help="it may send to each gateway; 0: no limit")] = None,
    data: DataOption = None,
) -> None:
    """Make a key and show it, once."""
    limits = KeyLimits(requests_per_minute, bytes_per_hour)

    async def work() -> str:
        async with opened_catalog(data) as catalog:
            return await create_key(catalog, scopes=scope, project_id=project, label=label, limits=limits)

    typer.echo(asyncio.run(work()))


@dead_letters.command("list")
def list_dead_letters(project: Annotated[str | None, typer.Option()] = None, data: DataOption = None) -> None:
    """Dead letters that were not replayed."""

    async def work() -> Table:
        table = Table("id", "project", "queue", "message", "media", "reason")
        async with opened_catalog(data) as catalog:
            for row in await open_dead_letters(catalog, project):
                table.add_row(
                    str(row.dead_letter_id), row.project_id, row.queue, row.type, str(row.media_id or ""), row.reason
                )
        return table

    console.print(asyncio.run(work()))


@dead_letters.command("replay")
def replay(
    dead_letter_id: Annotated[list[UUID] | None, typer.Argument(help="ids; none: all of them")] = None,
    project: Annotated[str | None, typer.Option()] = None,
    data: DataOption = None,
) -> None:
    """Send dead letters again; their media return to pending."""

    async def work() -> int:
        async with opened_catalog(data) as catalog:
            ids = dead_letter_id or [row.dead_letter_id for row in await open_dead_letters(catalog, project)]
            return await replay_dead_letters(catalog, ids, by="cli")

    console.print(f"{asyncio.run(work())} sent again")
