"""`train`: a release from labelled boxes, on this machine."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from varanger.fieldsim import EXPERT_GROUPS, SPECIES, SeasonPlan, draw_season
from varanger.trainer.application.demonstration import demonstration_season, demonstration_spec
from varanger.trainer.application.train import train_release
from varanger.trainer.domain.spec import TrainingSpec, parse_spec

console = Console()


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(train)


def train(
    out: Annotated[Path, typer.Option(help="folder for the release; must not hold anything")],
    spec: Annotated[Path | None, typer.Option(help="training specification (JSON)")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="train the demonstration release on a drawn season")] = False,
) -> None:
    """Train a two-stage release; needs torch (varanger-trainer[torch])."""
    if (spec is None) == (not demo):
        raise typer.BadParameter("give --spec FILE or --demo", param_hint="--spec")
    with tempfile.TemporaryDirectory(prefix="varanger-season-") as folder, Progress(console=console) as progress:
        task = progress.add_task("training", total=1.0)
        chosen = parse_spec(spec.read_bytes()) if spec else _demonstration(Path(folder), progress)
        manifest = train_release(
            chosen, out, lambda share, text: progress.update(task, completed=share, description=text)
        )
    console.print(f"release {manifest.release_id} ({manifest.name}) → {out}")


def _demonstration(folder: Path, progress: Progress) -> TrainingSpec:
    plan = SeasonPlan(**demonstration_season(tuple(species.name for species in SPECIES)))
    task = progress.add_task("drawing")
    draw_season(plan, folder, progress=lambda done, total: progress.update(task, completed=done, total=total))
    return demonstration_spec(folder, {group: tuple(names) for group, names in EXPERT_GROUPS.items()})
