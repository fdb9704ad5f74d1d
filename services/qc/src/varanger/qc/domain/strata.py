"""From reviewed images to strata: cells, the sparse ones collapsed by a fixed rule that never looks at an answer.

How images of overlapping samples combine. A round is the union of simple random samples (all images, one class, one
bin). Each of them treats two images of one cell alike, so by symmetry every subset of m images of a cell is equally
likely to be the part of the cell that was drawn: given their number, the drawn images of a cell are a simple random
sample of it. Post-stratifying on cells therefore needs no further weights: which sample an image came from, and
whether it came from two, carries no information once its cell is known. Unanswered tasks do no harm, because people
get them in random order.

Collapsing. A cell with fewer than `MINIMUM` reviewed images joins the next bin below of its own camera setup and
predicted class (blanks: the next runner-up stratum), going from the top, until there are enough; what is left over
joins the last stratum formed. Classes and camera setups never mix. Within a collapsed stratum images stand for their
cells (N_j/n_j), so that it stays unbiased; cells without a reviewed image are represented by the rest of the stratum.
A class with no reviewed image at all is outside the estimate, and the report says how large that part is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from varanger.qc.domain.cells import Cell, CellKey, key_of

MINIMUM = 25
"""Reviewed images a stratum should have. Every stratum brings a prior of its own, and many small ones pull accuracy
down (docs/decisions/0003-estimator.md)."""


@dataclass(frozen=True)
class Strata:
    """H strata, and what people saw in each. `outcomes` are the K things an image can turn out to be.

    `images` (H,) N_h; `seen` (H, K) reviewed images by outcome; `share` (H, K) each outcome's estimated share of the
    images not reviewed, rows sum to 1; `effective` (H,) how many equally weighted images that share is worth (Kish);
    n_h itself where nothing was collapsed. `predicted` (H,) index of each stratum's predicted class among the
    outcomes.
    """

    outcomes: tuple[str, ...]
    images: NDArray[np.float64]
    seen: NDArray[np.float64]
    share: NDArray[np.float64]
    effective: NDArray[np.float64]
    predicted: NDArray[np.int64]
    setup: tuple[str, ...]

    @property
    def reviewed(self) -> NDArray[np.float64]:
        """n_h, shape (H,)."""
        return np.asarray(self.seen.sum(axis=1))

    @property
    def unseen(self) -> NDArray[np.float64]:
        """N_h - n_h, shape (H,)."""
        return self.images - self.reviewed

    @property
    def totals(self) -> NDArray[np.float64]:
        """Estimated images per outcome, shape (H, K): those seen, and the shares of those not. Equals N_h·n_hk/n_h."""
        return self.seen + self.unseen[:, None] * self.share

    def where(self, mask: NDArray[np.bool_]) -> "Strata":
        """The strata where `mask` (H,) holds."""
        return Strata(
            self.outcomes,
            self.images[mask],
            self.seen[mask],
            self.share[mask],
            self.effective[mask],
            self.predicted[mask],
            tuple(name for name, kept in zip(self.setup, mask.tolist(), strict=True) if kept),
        )


def _label(cell: Cell) -> str:
    return cell.label


def strata_of(
    cells: Sequence[Cell],
    seen: Mapping[CellKey, Mapping[str, int]],
    outcomes: tuple[str, ...],
    minimum: int = MINIMUM,
    *,
    predicted: Callable[[Cell], str] = _label,
) -> Strata:
    """Collapse cells into strata.

    Args:
        cells: every cell of the frame.
        seen: reviewed images by cell and outcome; every outcome must stand in `outcomes`.
        outcomes: predicted classes included.
        minimum: reviewed images per stratum.
        predicted: the outcome that is right in a cell; cells for which it differs never collapse into one stratum.

    Raises:
        ValueError: more images reviewed in a cell than it holds, or a cell unknown to the frame.
    """
    unknown = set(seen) - {key_of(cell) for cell in cells}
    if unknown:
        raise ValueError(f"reviewed images in cells that the frame does not have: {sorted(unknown)[:3]}")
    column = {outcome: position for position, outcome in enumerate(outcomes)}
    counted = [(cell, _counts(cell, seen.get(key_of(cell), {}), column)) for cell in cells]
    groups: list[list[_Counted]] = []
    ordered = sorted(counted, key=_collapse_order)
    for _, members in groupby(ordered, key=lambda pair: (pair[0].camera_setup, predicted(pair[0]))):
        groups.extend(_collapse(members, minimum))
    groups = [group for group in groups if any(counts.sum() for _, counts in group)]
    rows = [_stratum(group, len(outcomes)) for group in groups]
    return Strata(
        outcomes=outcomes,
        images=np.array([float(sum(cell.images for cell, _ in group)) for group in groups]),
        seen=np.array([row[0] for row in rows]).reshape(-1, len(outcomes)),
        share=np.array([row[1] for row in rows]).reshape(-1, len(outcomes)),
        effective=np.array([row[2] for row in rows]),
        predicted=np.array([column[predicted(group[0][0])] for group in groups], dtype=np.int64),
        setup=tuple(group[0][0].camera_setup for group in groups),
    )


_Counted = tuple[Cell, NDArray[np.float64]]


def _collapse_order(pair: _Counted) -> tuple[str, str, int, int]:
    """By setup and class; then down the bins, and for blanks from the emptiest looking on."""
    cell = pair[0]
    return cell.camera_setup, cell.label, -cell.bin, cell.stratum


def _counts(cell: Cell, seen: Mapping[str, int], column: Mapping[str, int]) -> NDArray[np.float64]:
    counts = np.zeros(len(column))
    for outcome, count in seen.items():
        counts[column[outcome]] += count
    if counts.sum() > cell.images:
        raise ValueError(f"{key_of(cell)}: {counts.sum():g} images reviewed of {cell.images}")
    return counts


def _collapse(members: Iterable[_Counted], minimum: int) -> list[list[_Counted]]:
    """Neighbours together until each group has enough; a cell reviewed whole is enough by itself."""
    groups: list[list[_Counted]] = []
    open_group: list[_Counted] = []
    for member in members:
        open_group.append(member)
        reviewed = sum(float(counts.sum()) for _, counts in open_group)
        if reviewed >= min(minimum, sum(cell.images for cell, _ in open_group)):
            groups.append(open_group)
            open_group = []
    if open_group and groups:
        groups[-1].extend(open_group)
    elif open_group:
        groups.append(open_group)
    return groups


def _stratum(group: list[_Counted], many: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Seen (K,), share of the unseen (K,), effective number of images behind that share."""
    answered = [(cell.images, counts, float(counts.sum())) for cell, counts in group if counts.any()]
    represented = sum(images for images, _, _ in answered)
    alone = sum(cell.images for cell, counts in group if not counts.any())
    seen = np.sum([counts for _, counts, _ in answered], axis=0)
    weighted, weights, squares = np.zeros(many), 0.0, 0.0
    for images, counts, reviewed in answered:
        unseen = images - reviewed + alone * images / represented
        weighted += counts * unseen / reviewed
        weights += unseen
        squares += unseen * unseen / reviewed
    if not weights:  # a census: nothing is unseen, and its share is of no consequence
        return seen, seen / seen.sum(), float(seen.sum())
    return seen, weighted / weights, weights * weights / squares
