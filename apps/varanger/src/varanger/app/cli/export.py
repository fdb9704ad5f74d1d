"""`export names | final-table | media`: a project's dataset in the forms that other tools read."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from varanger.api.domain.export_names import Template
from varanger.app.cli.gateway import HERE, KeyOption, ProjectOption, UrlOption
from varanger.client import GatewayAway, RequestRefused, VarangerClient

app = typer.Typer(no_args_is_help=True, help="Exports: names of other tools, Böhner's final table, the files.")
console = Console()

TemplateOption = Annotated[Template, typer.Option(help="whose names the files get")]
NAMES_FILE = "names.csv"
"""Beside exported media: which file is which media."""
BROUGHT, KEPT = "brought", "kept"


@app.command()
def names(
    project: ProjectOption,
    out: Annotated[Path, typer.Option(help="CSV file")],
    template: TemplateOption = Template.DEFAULT,
    url: UrlOption = HERE,
    key: KeyOption = "",
) -> None:
    """Every media's name under a template, as CSV."""
    with VarangerClient(url, key) as client:
        client.export_names(project, out, template=template)
    console.print(f"→ {out}")


@app.command("final-table")
def final_table(
    project: ProjectOption,
    out: Annotated[Path, typer.Option(help="CSV file")],
    template: TemplateOption = Template.DEFAULT,
    url: UrlOption = HERE,
    key: KeyOption = "",
) -> None:
    """Böhner's final table as CSV, its images named by a template."""
    with VarangerClient(url, key) as client:
        client.final_table(project, out, names=template)
    console.print(f"→ {out}")


@app.command()
def media(
    project: ProjectOption,
    out: Annotated[Path, typer.Option(help="folder; files that are there already are kept")],
    template: TemplateOption = Template.DEFAULT,
    url: UrlOption = HERE,
    key: KeyOption = "",
) -> None:
    """The original files under a template's names, and `names.csv`. May be stopped and run again.

    A name that another content has already is left alone and told: numbers move when files come late, so export into an
    empty folder then.
    """
    out.mkdir(parents=True, exist_ok=True)
    with VarangerClient(url, key) as client:
        client.export_names(project, out / NAMES_FILE, template=template)
        outcomes = Counter[str]()
        number = sum(1 for _ in _files(out / NAMES_FILE))
        for file in track(_files(out / NAMES_FILE), "files", number, console=Console(stderr=True)):
            outcome = _bring(client, file, out / file.name)
            outcomes[outcome] += 1
            if outcome not in (BROUGHT, KEPT):
                console.print(f"  {file.name}: {outcome}", highlight=False, soft_wrap=True)
    left_out = outcomes.total() - outcomes[BROUGHT] - outcomes[KEPT]
    console.print(f"brought {outcomes[BROUGHT]}, kept {outcomes[KEPT]}, left out {left_out} → {out}", soft_wrap=True)
    if left_out:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _File:
    media_id: str
    name: str
    sha256: str


def _files(table: Path) -> Iterator[_File]:
    with table.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            name = row["export_name"]
            if PurePath(name).name != name or "\\" in name:
                raise GatewayAway(f"{name!r}: the gateway gives a path where a file's name belongs")
            yield _File(row["media_id"], name, row["sha256"])


def _bring(client: VarangerClient, file: _File, target: Path) -> str:
    """Brought, kept, or why not."""
    if target.exists():
        return KEPT if _sha256(target) == file.sha256 else "another content has this name here"
    try:
        client.original(file.media_id, target, sha256=file.sha256)
    except RequestRefused as refused:
        if refused.status not in (403, 404):
            raise
        return f"refused: {refused.detail}"
    return BROUGHT


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
