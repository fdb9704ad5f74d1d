"""Paired comparisons: both sides in one run, by turns, so that a busy machine is busy for both.

A benchmark gives two functions that each return a rate (more is better). They run A B A B …; the ratio is the median
of the pairs' ratios, its spread their smallest and largest. What has no other side is a `Figure`. The last line
printed is the same as JSON.
"""

import inspect
import json
import os
import signal
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

Side = Callable[[], float | Awaitable[float]]
REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Comparison:
    """One row of docs/benchmarks.md."""

    what: str
    against: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    ratio_min: float
    ratio_max: float
    repeats: int
    goal: float | None = None

    def __str__(self) -> str:
        goal = "" if self.goal is None else f", goal ≥ {self.goal:g}"
        return (
            f"{self.what}: {self.ours:,.1f} {self.unit}; {self.against}: {self.theirs:,.1f} {self.unit}; "
            f"ratio {self.ratio:.3f} ({self.ratio_min:.3f} to {self.ratio_max:.3f}, {self.repeats} pairs{goal})"
        )


@dataclass(frozen=True)
class Figure:
    """One number with its spread, where there is no other side to compare with."""

    what: str
    unit: str
    value: float
    least: float
    most: float
    repeats: int
    goal: float | None = None
    """At most this."""

    @classmethod
    def of(cls, what: str, unit: str, values: list[float], *, goal: float | None = None) -> "Figure":
        """The median of repeated measurements, their smallest and largest."""
        return cls(what, unit, median(values), min(values), max(values), len(values), goal)

    def __str__(self) -> str:
        goal = "" if self.goal is None else f", goal ≤ {self.goal:g}"
        return (
            f"{self.what}: {self.value:,.4g} {self.unit} "
            f"({self.least:,.4g} to {self.most:,.4g}, {self.repeats} runs{goal})"
        )


def summarise(
    what: str, against: str, unit: str, ours: list[float], theirs: list[float], *, goal: float | None = None
) -> Comparison:
    """Medians of both sides, and of the ratios pair by pair.

    Raises:
        ValueError: the sides were not measured equally often, or never.
    """
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    if not ratios:
        raise ValueError(f"{what}: nothing was measured")
    return Comparison(
        what, against, unit, median(ours), median(theirs), median(ratios), min(ratios), max(ratios), len(ratios), goal
    )


async def compare(
    what: str, ours: Side, against: str, theirs: Side, *, unit: str, repeats: int = 7, goal: float | None = None
) -> Comparison:
    """One unmeasured pair to warm up, then `repeats` measured ones. The sides may be coroutine functions."""
    rates: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for side, kept in zip((theirs, ours), reversed(rates), strict=True):
            rate = side()
            value = await rate if inspect.isawaitable(rate) else rate
            if repeat:
                kept.append(value)
    return summarise(what, against, unit, *rates, goal=goal)


def report(*rows: Comparison | Figure) -> None:
    """Print each for people, with how busy the machine was, then all as one line of JSON."""
    for row in rows:
        print(row)
    one, five, fifteen = os.getloadavg()
    print(f"{os.cpu_count()} cores; load {one:.1f}, {five:.1f}, {fifteen:.1f} over 1, 5, 15 minutes")
    print(json.dumps([asdict(row) for row in rows], ensure_ascii=False))


def options(description: str | None) -> ArgumentParser:
    """The command line every benchmark has: its docstring as help, and `--quick`. SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else processes, databases and vhosts would stay
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the least that still runs every line; no figures to keep")
    return parser


def service_address(name: str) -> str:
    """Where a real service is: the environment's `name`, else what `make services` wrote.

    Exits with a sentence that says what to do where neither names it.
    """
    if name in os.environ:
        return os.environ[name]
    services = Path(os.environ.get("VARANGER_SERVICES_DIR", REPOSITORY / ".varanger" / "services")) / "services.env"
    lines = services.read_text().splitlines() if services.exists() else []
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    if name not in found:
        sys.exit(f"{name} is not set, and {services} does not name it: run `make services`")
    return found[name]
