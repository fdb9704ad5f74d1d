"""What `varanger demo` prints at its end."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from varanger.client import Round, Stats


def print_report(
    console: Console,
    project: str,
    stats: Stats,
    round_: Round,
    table: Path,
    *,
    simulated: bool,
    seconds: float,
) -> None:
    """Counts, predictions, quality, and where everything lies."""
    console.print(f"\n[bold]Project {project}[/]: {seconds:.0f} s in all")
    if not simulated:
        console.print(
            "[yellow]The demonstration release knows only drawings: on real images its answers mean nothing.[/]"
        )
    states = ("media", "duplicate", "quarantined", "failed", "pending")
    console.print(f"received {stats.received} = " + " + ".join(f"{getattr(stats, state)} {state}" for state in states))
    console.print(_counts("predictions by species", stats.by_label))
    console.print(_counts("predictions by route", stats.by_route))
    _print_round(console, project, round_)
    console.print(f"\ndataset        {table}")
    console.print("page           http://127.0.0.1:8000 after `make up` (API docs: http://127.0.0.1:8000/docs)")


def _counts(title: str, counts: dict[str, int]) -> Table:
    table = Table(title, "images", title_justify="left")
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        table.add_row(name, str(count))
    return table


def _print_round(console: Console, project: str, round_: Round) -> None:
    report = round_.report
    if round_.state == "failed":
        console.print(f"QC round failed: {round_.message}")
    elif report is None or report.get("overall") is None:
        console.print(
            f"QC round {round_.round_id} is drawn and open: answer it with "
            f"POST /v1/projects/{project}/reviews, and its report fills (docs/operating.md: keys, first project)."
        )
    else:
        overall = report["overall"]
        console.print(
            f"QC round: {report['reviewed']} of {overall['images']} images reviewed (overall and per-class samples)"
        )
        table = Table("figure", "raw", "corrected", "95 % interval")
        table.add_row("accuracy", *_figure(overall["accuracy"]))
        for one in overall["classes"]:
            for name in ("precision", "recall"):
                table.add_row(f"{one['label']} {name}", *_figure(one[name]))
        console.print(table)


def _figure(figure: dict[str, Any]) -> tuple[str, str, str]:
    raw = figure["raw"]["value"] if figure["raw"] else None
    low, high = figure["interval"] or (None, None)
    return _share(raw), _share(figure["corrected"]), f"{_share(low)} – {_share(high)}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
