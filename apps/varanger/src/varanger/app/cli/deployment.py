"""`deployment list | show | clock`: a project's deployments, and what was wrong with a camera's clock."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from varanger.app.cli.gateway import HERE, KeyOption, ProjectOption, UrlOption
from varanger.client import ClockCorrection, ClockPoint, Deployment, Drift, Offset, VarangerClient, WrongYear, WrongZone
from varanger.client.reading import to_json

app = typer.Typer(no_args_is_help=True, help="Deployments, and what was wrong with their clocks.")
console = Console()

DeploymentArgument = Annotated[str, typer.Argument(help="deployment id, as `list` shows it")]


@app.command("list")
def list_deployments(project: ProjectOption, url: UrlOption = HERE, key: KeyOption = "") -> None:
    """A project's deployments, by location."""
    table = Table(
        Column("deployment", overflow="fold"), "location", "start", "end", "zone", "clock correction", "applied"
    )
    with VarangerClient(url, key) as client:
        for one in client.deployments(project):
            table.add_row(
                one.deployment_id,
                one.location_id,
                str(one.start or "–"),
                str(one.end or "–"),
                one.time_zone,
                _told(one.clock_correction),
                _yes(one),
            )
    console.print(table)


@app.command("show")
def show(deployment: DeploymentArgument, *, project: ProjectOption, url: UrlOption = HERE, key: KeyOption = "") -> None:
    """All that is known of one, as JSON. `applied`: the times and events of its media follow it."""
    with VarangerClient(url, key) as client:
        typer.echo(json.dumps(to_json(client.deployment(project, deployment)), indent=1, ensure_ascii=False))


@app.command("clock")
def clock(
    deployment: DeploymentArgument,
    *,
    project: ProjectOption,
    offset: Annotated[float | None, typer.Option(help="seconds to add to the camera's time")] = None,
    drift: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="CAMERA=TRUE CAMERA=TRUE",
            help="what it showed and what it truly was, twice: 2026-05-01T10:00:00=2026-05-01T10:00:05",
        ),
    ] = None,
    wrong_year: Annotated[int | None, typer.Option(help="years to add to the camera's year")] = None,
    wrong_zone: Annotated[
        str | None, typer.Option(help="the zone that the camera showed; Etc/GMT-1 is UTC+1 all year")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="the clock was right")] = False,
    zone: Annotated[str | None, typer.Option(help="the place's zone, as Europe/Oslo")] = None,
    gap: Annotated[float | None, typer.Option(help="seconds: a longer silence ends an event")] = None,
    url: UrlOption = HERE,
    key: KeyOption = "",
) -> None:
    """Say what was wrong with a clock; times and events of recorded media follow, no file changes."""
    said: list[ClockCorrection] = []
    if offset is not None:
        said.append(Offset(offset))
    if drift is not None:
        said.append(Drift(tuple(map(_point, drift))))
    if wrong_year is not None:
        said.append(WrongYear(wrong_year))
    if wrong_zone is not None:
        said.append(WrongZone(wrong_zone))
    if len(said) + none > 1:
        raise typer.BadParameter(
            "one correction at a time: a clock was wrong in one way, or in none", param_hint="clock"
        )
    fields: dict[str, Any] = {}
    if said or none:
        fields["clock_correction"] = said[0] if said else None
    if zone is not None:
        fields["time_zone"] = zone
    if gap is not None:
        fields["event_gap_s"] = gap
    if not fields:
        raise typer.BadParameter("say what to change; `--help` lists it", param_hint="clock")
    with VarangerClient(url, key) as client:
        changed = client.patch_deployment(project, deployment, **fields)
    follow = "its media follow it" if changed.applied else "its media will follow within minutes (`deployment show`)"
    console.print(
        f"{changed.deployment_id}: clock correction {_told(changed.clock_correction)}, zone {changed.time_zone}, "
        f"gap {changed.event_gap_s:g} s; {follow}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _point(said: str) -> ClockPoint:
    camera, _, true = said.partition("=")
    try:
        return ClockPoint(datetime.fromisoformat(camera), datetime.fromisoformat(true))
    except ValueError as error:
        raise typer.BadParameter(
            f"{said!r}: write CAMERA=TRUE, as 2026-05-01T10:00:00=2026-05-01T10:00:05", param_hint="--drift"
        ) from error


def _told(correction: Any) -> str:
    return "none" if correction is None else json.dumps(to_json(correction))


def _yes(one: Deployment) -> str:
    return "yes" if one.applied else "not yet"
