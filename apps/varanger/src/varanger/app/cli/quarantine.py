"""`quarantine list | show | release`: files that are kept and are not media, and the way back to ingest."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Column, Table

from varanger.app.cli.gateway import CAMERA_TIME, HERE, KeyOption, ProjectOption, UrlOption
from varanger.client import VarangerClient

app = typer.Typer(no_args_is_help=True, help="Files that are kept and are not media.")
console = Console()


@app.command("list")
def list_files(
    project: ProjectOption,
    reason: Annotated[str | None, typer.Option(help="only files quarantined for this")] = None,
    deployment: Annotated[str | None, typer.Option()] = None,
    url: UrlOption = HERE,
    key: KeyOption = "",
) -> None:
    """Quarantined files of a project, and why; those sent back are listed until they are media."""
    # An id is there to be copied: it stays whole, however narrow the terminal.
    table = Table(Column("id", no_wrap=True), "deployment", "file", "bytes", "reason", "detail", "sent back")
    with VarangerClient(url, key) as client:
        for one in client.quarantine(project, reason=reason, deployment=deployment):
            table.add_row(
                one.media_id,
                one.deployment,
                one.original_path or one.original_name,
                str(one.bytes),
                one.reason,
                one.detail,
                str(one.released_at or "–"),
            )
    console.print(table)


@app.command("show")
def show(
    media_id: Annotated[UUID, typer.Argument(help="as `list` shows it")], url: UrlOption = HERE, key: KeyOption = ""
) -> None:
    """One file: where it is now, what was found wrong with it, and all that happened to it."""
    with VarangerClient(url, key) as client:
        one = client.one_media(str(media_id))
    name = one.original_path or one.original_name
    console.print(f"{name} ({one.bytes} bytes): {one.state}", highlight=False)
    for fault in one.faults:
        console.print(f"  {fault.reason}: {fault.detail}", highlight=False, markup=False)
    history = Table("when", "what", "by", "details")
    for line in one.history:
        history.add_row(str(line.at), line.what, line.by, _said(line.details))
    console.print(history)


@app.command("release")
def release(
    media_id: Annotated[list[UUID], typer.Argument(help="as `list` shows them")],
    *,
    deployment: Annotated[str | None, typer.Option(help="the one the files belong to, if they were sent wrong")] = None,
    captured_at: Annotated[
        datetime | None, typer.Option(formats=[CAMERA_TIME], help="the camera's own time, without a zone")
    ] = None,
    as_is: Annotated[bool, typer.Option("--accept-as-is", help="take it although its name says another type")] = False,
    url: UrlOption = HERE,
    key: KeyOption = "",
) -> None:
    """Send files to ingest again, with what you know of them; without any of it they are only looked at once more."""
    with VarangerClient(url, key) as client:
        for each in media_id:
            sent = client.release_from_quarantine(
                str(each), deployment=deployment, captured_at=captured_at, accept_as_is=as_is
            )
            console.print(f"{sent.original_name} is on its way again, for {sent.deployment}", highlight=False)


def _said(details: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in details.items() if value not in (None, False, ""))
