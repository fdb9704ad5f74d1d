"""Divide a dataset so that what a model is measured on is new to it: by site, or by event where sites are unknown."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from varanger.trainer.domain.dataset import LabelledImage

SplitBy = Literal["site", "event"]
_BLANK = ""


@dataclass(frozen=True, slots=True)
class Split:
    """Three sides that share no event, and no site where divided by site."""

    train: tuple[LabelledImage, ...]
    validation: tuple[LabelledImage, ...]
    test: tuple[LabelledImage, ...]


def split_dataset(images: Sequence[LabelledImage], *, by: SplitBy, validation: float, test: float, seed: int) -> Split:
    """Divide by whole sites or whole events, keeping every class's share on each side about equal.

    Iterative stratification (Sechidis et al. 2011, doi 10.1007/978-3-642-23808-6_10) over units instead of images: the
    class with the fewest units left goes first, each unit to the side that still wants that class most.

    Args:
        images: the whole dataset.
        by: the unit that is never divided. Units that share an event are joined, so an event is never divided either.
        validation: share of images wanted for choosing thresholds and calibration.
        test: share of images wanted for measuring.
        seed: decides between equals.

    Raises:
        ValueError: shares leave no training side, or there are fewer than three units.
    """
    if min(validation, test) <= 0 or validation + test >= 1:
        raise ValueError("validation and test shares must be positive and leave something to train on")
    units = _units(images, by)
    if len(units) < 3:
        raise ValueError(f"needs at least three units to divide by {by}; the dataset has {len(units)}")
    shares = (1 - validation - test, validation, test)
    sides = _assign(units, shares, seed)
    chosen = [
        tuple(image for unit, side in zip(units, sides, strict=True) if side == k for image in unit) for k in (0, 1, 2)
    ]
    if not all(chosen):
        raise ValueError(f"dividing {len(units)} units by {by} leaves a side empty; give larger shares")
    return Split(*(tuple(images) for images in chosen))


def _units(images: Sequence[LabelledImage], by: SplitBy) -> list[list[LabelledImage]]:
    """Group images by unit, joining units that share an event; in order of first appearance of sorted paths."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for image in images:
        unit = f"site {image.site}" if by == "site" else f"event {image.event}"
        parent[root(f"event {image.event}")] = root(unit)
    groups: dict[str, list[LabelledImage]] = defaultdict(list)
    for image in sorted(images, key=lambda image: str(image.path)):
        groups[root(f"event {image.event}")].append(image)
    return list(groups.values())


def _labels(unit: list[LabelledImage]) -> Counter[str]:
    """Images per class in a unit; blanks count as a class of their own."""
    return Counter(label for image in unit for label in (image.labels or {_BLANK}))


def _assign(units: list[list[LabelledImage]], shares: tuple[float, ...], seed: int) -> list[int]:
    counts = [_labels(unit) for unit in units]
    total: Counter[str] = sum(counts, Counter())
    wanted = [{label: share * total[label] for label in total} for share in shares]
    images_wanted = [share * sum(len(unit) for unit in units) for share in shares]
    holding: dict[str, set[int]] = {label: set() for label in total}
    sides = [-1] * len(units)
    left = sorted(range(len(units)), key=lambda unit: hashlib.sha256(f"{seed}:{unit}".encode()).digest())
    while left:
        spread = Counter(label for unit in left for label in counts[unit])
        rarest = min(spread, key=lambda label: (spread[label], label))
        unit = next(unit for unit in left if rarest in counts[unit])
        lacking = [k for k in range(len(shares)) if k not in holding[rarest]]
        # While there are just enough units left, each side without the class gets one; else the neediest side does.
        if spread[rarest] <= len(lacking):
            side = max(lacking, key=lambda k: (_room(counts[unit], wanted[k]), images_wanted[k]))
        else:
            side = max(range(len(shares)), key=lambda k: (wanted[k][rarest], images_wanted[k]))
        sides[unit] = side
        left.remove(unit)
        images_wanted[side] -= len(units[unit])
        for label, count in counts[unit].items():
            wanted[side][label] -= count
            holding[label].add(side)
    return sides


def _room(unit: Counter[str], wanted: dict[str, float]) -> float:
    """How much of a unit a side still wants, less what would be too much, in images."""
    return sum(min(count, 2 * wanted[label] - count) for label, count in unit.items())
