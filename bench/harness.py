"""Paired comparisons: both sides in one run, by turns, so that a busy machine is busy for both.

A benchmark gives two functions that each return a rate (more is better). They run A B A B …; the ratio is the median
of the pairs' ratios, its spread their smallest and largest. The last line printed is the same as JSON.
"""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from statistics import median

Side = Callable[[], float | Awaitable[float]]


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


def report(*comparisons: Comparison) -> None:
    """Print each for people, then all as one line of JSON."""
    for comparison in comparisons:
        print(comparison)
    print(json.dumps([asdict(comparison) for comparison in comparisons], ensure_ascii=False))
