"""`release list | import | promote | rollback`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import select
from sqlmodel import col

from varanger.api.application.promote_release import promote as promote_release
from varanger.api.application.promote_release import rollback as rollback_release
from varanger.app.opened import opened_catalog, opened_objects
from varanger.app.release_source import find_bundle, publish_release
from varanger.common.catalog.tables import Project, Release

app = typer.Typer(no_args_is_help=True, help="What answers, and what is in force.")
console = Console()
ProjectOption = Annotated[str, typer.Option("--project", help="project id")]
DataOption = Annotated[Path | None, typer.Option("--data", help="data folder of the embedded mode")]


@app.command("list")
def list_releases(project: ProjectOption, data: DataOption = None) -> None:
    """Releases of a project; * is in force."""

    async def read() -> tuple[str | None, list[Release]]:
        async with opened_catalog(data) as catalog, catalog.reading() as session:
            found = await session.get(Project, project)
            rows = await session.scalars(
                select(Release).where(col(Release.project_id) == project).order_by(col(Release.registered_at))
            )
            return found.release_id if found else None, list(rows)

    in_force, releases = asyncio.run(read())
    table = Table("", Column("release", overflow="fold"), "name", "kind", "registered")
    for one in releases:
        mark = "*" if one.release_id == in_force else ""
        table.add_row(mark, one.release_id, one.name, one.kind, one.registered_at.isoformat(timespec="seconds"))
    console.print(table)


@app.command("import")
def import_release(
    bundle: Annotated[str, typer.Argument(help="`demo`, or a release folder")],
    project: ProjectOption,
    promote: Annotated[bool, typer.Option(help="put it in force if the project has none")] = False,
    data: DataOption = None,
) -> None:
    """Check a bundle, store its files and register it."""

    async def work() -> str:
        async with opened_catalog(data) as catalog, opened_objects(data) as objects:
            return await publish_release(catalog, objects, project, find_bundle(bundle), promote=promote)

    console.print(asyncio.run(work()))


@app.command()
def promote(release_id: str, project: ProjectOption, data: DataOption = None) -> None:
    """Put a release in force."""

    async def work() -> str | None:
        async with opened_catalog(data) as catalog:
            async with catalog.reading() as session:
                found = await session.get(Project, project)
            current = found.release_id if found else None
            async with catalog.writing() as session:
                await promote_release(session, project, release_id, expected=current, by="cli")
            return current

    console.print(f"in force: {release_id} (before: {asyncio.run(work()) or 'none'})")


@app.command()
def rollback(project: ProjectOption, data: DataOption = None) -> None:
    """Put back in force what the present release replaced."""

    async def work() -> str:
        async with opened_catalog(data) as catalog:
            async with catalog.reading() as session:
                found = await session.get(Project, project)
            current = found.release_id if found else None
            async with catalog.writing() as session:
                return (await rollback_release(session, project, expected=current, by="cli")).release_id

    console.print(f"in force: {asyncio.run(work())}")
