"""`inspect`, `predict`, `upload`: files on this computer. Stable: people script them."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from varanger.app.cli.gateway import HERE, KeyOption, ProjectOption, UrlOption
from varanger.app.release_source import find_bundle
from varanger.client import VarangerClient
from varanger.inference.application.predict_folder import predict_folder
from varanger.ingest.application.inspect import inspect_files

console = Console()


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (inspect, predict, upload):
        app.command()(command)


def inspect(
    files: Annotated[list[Path], typer.Argument(help="images, videos, zips")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON array instead of a table")] = False,
) -> None:
    """What ingest sees in files: media or quarantine and why, size, time, camera."""
    found = list(inspect_files(files))
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    table = Table("file", "verdict", "captured_at", "camera", "size")
    for one in found:
        more = one["reason"] or (one["entries"] and f"{one['entries']} files")
        verdict = f"{one['verdict']}: {more}" if more else one["verdict"]
        camera = " ".join(part for part in (one["make"], one["model"]) if part)
        size = f"{one['width']}×{one['height']}" if one["width"] else "–"
        table.add_row(one["file"], verdict, one["captured_at"] or "–", camera or "–", size)
    console.print(table)


def predict(
    folder: Annotated[Path, typer.Argument(help="folder of images, searched whole")],
    release: Annotated[str, typer.Option(help="`demo`, or a release folder")],
    out: Annotated[Path, typer.Option(help="results file, MegaDetector JSON 1.6")],
) -> None:
    """Answer every image in a folder, without a server."""
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is not a folder", param_hint="FOLDER")
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("images", total=None)
        summary = predict_folder(
            folder,
            find_bundle(release),
            out,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(f"{summary.images} images, {summary.failed} failures → {out}")


def upload(
    folder: Annotated[Path, typer.Argument(help="folder of images, searched whole")],
    project: ProjectOption,
    deployment: Annotated[str, typer.Option()],
    url: UrlOption = HERE,
    key: KeyOption = "",
) -> None:
    """Send a folder to a gateway; every file gets a verdict."""
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is not a folder", param_hint="FOLDER")
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("files", total=None)
        with VarangerClient(url, key) as client:
            verdicts = client.upload_folder(
                project,
                deployment,
                folder,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
    counts = {verdict: sum(1 for one in verdicts if one.verdict == verdict) for verdict in ("accepted", "duplicate")}
    rejected = [one for one in verdicts if one.verdict == "rejected"]
    console.print(f"accepted {counts['accepted']}, duplicate {counts['duplicate']}, rejected {len(rejected)}")
    for one in rejected:
        console.print(f"  {one.file}: {one.reason}")
    if rejected:
        raise typer.Exit(1)
