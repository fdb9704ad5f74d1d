"""`media set-date`: what a person knows of one media better than its file."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console

from varanger.app.cli.gateway import CAMERA_TIME, HERE, KeyOption, UrlOption
from varanger.client import VarangerClient

app = typer.Typer(no_args_is_help=True, help="Single media.")
console = Console()


@app.callback()
def media() -> None:
    """Single media."""


@app.command("set-date")
def set_date(
    media_id: Annotated[UUID, typer.Argument()],
    captured_at: Annotated[
        datetime, typer.Argument(metavar="DATE", formats=[CAMERA_TIME], help="the camera's own time, without a zone")
    ],
    url: UrlOption = HERE,
    key: KeyOption = "",
) -> None:
    """Set a date that is missing or wrong. Time and event follow; name and file stay."""
    with VarangerClient(url, key) as client:
        changed = client.patch_media(str(media_id), captured_at=captured_at)
    console.print(
        f"{changed.name}: {changed.captured_at_local} in {changed.time_zone}", highlight=False, soft_wrap=True
    )
