"""From reviewed images to the report of a round. Needs the cells of the frame, never the frame itself."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from varanger.common.words import Frozen
from varanger.qc.domain import estimator
from varanger.qc.domain.cells import Cell, CellKey
from varanger.qc.domain.design import RoundDesign
from varanger.qc.domain.estimator import NOT_OBSERVED, Ratio
from varanger.qc.domain.figures import (
    BinFigures,
    ClassFigures,
    Figure,
    Interval,
    Raw,
    RoundReport,
    SetupReport,
)
from varanger.qc.domain.posterior import HALF_PRIOR, PRIOR, Posterior, posterior
from varanger.qc.domain.strata import Strata, strata_of

RIGHT, WRONG = "right", "wrong"
Z95 = 1.959963984540054


class ReviewedImage(Frozen):
    """One reviewed image: its cell, and what it turned out to be (`NOT_OBSERVED` for bad quality)."""

    cell: CellKey
    outcome: str
    several_species: bool = False

    @property
    def predicted(self) -> str:
        """The machine's label."""
        return self.cell[1]


@dataclass(frozen=True)
class _Evidence:
    """Strata, what they say under both priors, and the reviewed images themselves."""

    strata: Strata
    posterior: Posterior
    half_posterior: Posterior
    raw: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    """Reviewed images, unweighted, (P, K)."""

    def figure(self, ratio: Ratio, *, binomial: bool = True) -> Figure:
        """One figure, raw and corrected. `binomial`: the raw one is a share of images and has Wilson's interval."""
        found = estimator.estimate(self.strata, ratio)
        interval = self.posterior.interval(ratio, found.value)
        half = self.half_posterior.interval(ratio, found.value)
        return Figure(
            raw=_raw(float((self.raw * ratio.numerator).sum()), float((self.raw * ratio.denominator).sum()), binomial),
            corrected=found.value,
            interval=None if interval is None else Interval(*interval),
            interval_half_prior=None if half is None else Interval(*half),
            standard_error=found.standard_error,
        )


def report_of(cells: Sequence[Cell], design: RoundDesign, reviewed: Sequence[ReviewedImage]) -> RoundReport:
    """The report: figures per camera setup and for all together.

    The posterior's seed is the design's, so the same reviews give the same report.

    Args:
        cells: every cell of the frame, with its number of images and of those drawn.
        design: of the round.
        reviewed: one per reviewed image, each once.
    """
    drawn = sum(cell.drawn for cell in cells)
    if not reviewed:
        return RoundReport(drawn=drawn, reviewed=0, complete=drawn == 0)
    setups = sorted({cell.camera_setup for cell in cells})
    by_setup = {name: [image for image in reviewed if image.cell[0] == name] for name in setups}
    outcomes = _outcomes(cells, reviewed)
    evidence = {
        name: _evidence([cell for cell in cells if cell.camera_setup == name], by_setup[name], outcomes, design.seed)
        for name in setups
        if by_setup[name]
    }
    whole = _together(list(evidence.values()), strata_of(cells, _count(reviewed), outcomes))
    single = len(setups) == 1
    overall = _setup_report(whole, cells, design, reviewed)
    return RoundReport(
        drawn=drawn,
        reviewed=len(reviewed),
        complete=len(reviewed) >= drawn,
        overall=overall,
        setups={
            name: overall
            if single
            else _setup_report(found, [cell for cell in cells if cell.camera_setup == name], design, by_setup[name])
            for name, found in evidence.items()
        },
    )


def _setup_report(
    evidence: _Evidence, cells: Sequence[Cell], design: RoundDesign, reviewed: Sequence[ReviewedImage]
) -> SetupReport:
    outcomes = evidence.strata.outcomes
    images = sum(cell.images for cell in cells)
    covered = float(evidence.strata.images.sum())
    return SetupReport(
        images=images,
        covered_share=covered / images,
        reviewed=len(reviewed),
        not_observed=sum(image.outcome == NOT_OBSERVED for image in reviewed),
        not_observed_share=evidence.figure(estimator.share_of(outcomes, NOT_OBSERVED)),
        several_species=sum(image.several_species for image in reviewed),
        accuracy=evidence.figure(estimator.accuracy(outcomes)),
        classes=tuple(_class_figures(evidence, label, cells, reviewed) for label in outcomes if label != NOT_OBSERVED),
        bins=_bin_figures(cells, design, reviewed),
        confusion=_confusion(evidence.strata),
    )


def _class_figures(
    evidence: _Evidence, label: str, cells: Sequence[Cell], reviewed: Sequence[ReviewedImage]
) -> ClassFigures:
    outcomes = evidence.strata.outcomes
    return ClassFigures(
        label=label,
        predicted=sum(cell.images for cell in cells if cell.label == label),
        reviewed=sum(image.predicted == label for image in reviewed),
        found=sum(image.outcome == label for image in reviewed),
        precision=evidence.figure(estimator.precision(outcomes, label)),
        recall=evidence.figure(estimator.recall(outcomes, label)),
        f1=evidence.figure(estimator.f1(outcomes, label), binomial=False),
    )


def _bin_figures(
    cells: Sequence[Cell], design: RoundDesign, reviewed: Sequence[ReviewedImage]
) -> tuple[BinFigures, ...]:
    """Each bin's own accuracy, from its images alone; classes collapse within the bin where they are sparse."""
    found = []
    for index, (low, high) in enumerate(design.bins):
        inside = [cell for cell in cells if cell.bin == index]
        images = [image for image in reviewed if image.cell[2] == index]
        if not inside:
            continue
        figure = Figure()
        if images:
            judged = [image.model_copy(update={"outcome": _judged(image)}) for image in images]
            outcomes = (RIGHT, WRONG, NOT_OBSERVED)
            figure = _evidence(inside, judged, outcomes, design.seed, right=RIGHT).figure(estimator.accuracy(outcomes))
        found.append(
            BinFigures(
                low=low,
                high=high,
                images=sum(cell.images for cell in inside),
                reviewed=len(images),
                accuracy=figure,
            )
        )
    return tuple(found)


def _judged(image: ReviewedImage) -> str:
    if image.outcome == NOT_OBSERVED:
        return NOT_OBSERVED
    return RIGHT if image.outcome == image.predicted else WRONG


def _evidence(
    cells: Sequence[Cell],
    reviewed: Sequence[ReviewedImage],
    outcomes: tuple[str, ...],
    seed: int,
    *,
    right: str | None = None,
) -> _Evidence:
    """Strata and posteriors of some cells. `right`: the outcome that is right in all of them, if not the label."""
    seen = _count(reviewed)
    strata = (
        strata_of(cells, seen, outcomes)
        if right is None
        else strata_of(cells, seen, outcomes, predicted=lambda _: right)
    )
    return _Evidence(strata, posterior(strata, seed, PRIOR), posterior(strata, seed, HALF_PRIOR), _raw_counts(strata))


def _together(parts: Sequence[_Evidence], strata: Strata) -> _Evidence:
    """All camera setups: strata never span two, so their posteriors add up."""
    return _Evidence(
        strata,
        reduce(add, (part.posterior for part in parts)),
        reduce(add, (part.half_posterior for part in parts)),
        _raw_counts(strata),
    )


def _raw_counts(strata: Strata) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    counts = np.zeros((len(strata.outcomes), len(strata.outcomes)))
    np.add.at(counts, strata.predicted, strata.seen)
    return counts


def _count(reviewed: Sequence[ReviewedImage]) -> Mapping[CellKey, Mapping[str, int]]:
    seen: dict[CellKey, dict[str, int]] = {}
    for image in reviewed:
        counts = seen.setdefault(image.cell, {})
        counts[image.outcome] = counts.get(image.outcome, 0) + 1
    return seen


def _outcomes(cells: Sequence[Cell], reviewed: Sequence[ReviewedImage]) -> tuple[str, ...]:
    """Every class predicted or found, by name; last, what could not be judged."""
    names = {cell.label for cell in cells} | {image.outcome for image in reviewed} - {NOT_OBSERVED}
    return (*sorted(names - {NOT_OBSERVED}), NOT_OBSERVED)


def _confusion(strata: Strata) -> dict[str, dict[str, float]]:
    shares = np.zeros((len(strata.outcomes), len(strata.outcomes)))
    np.add.at(shares, strata.predicted, strata.totals / strata.images.sum())
    return {
        predicted: {
            outcome: float(share) for outcome, share in zip(strata.outcomes, row.tolist(), strict=True) if share > 0.0
        }
        for predicted, row in zip(strata.outcomes, shares, strict=True)
        if row.any()
    }


def _raw(numerator: float, denominator: float, binomial: bool) -> Raw | None:
    """The plain ratio. F1 counts an image up to twice: no share, no interval."""
    if denominator <= 0.0:
        return None
    value = numerator / denominator
    interval = wilson(value, denominator) if binomial else None
    return Raw(value=value, interval=interval, images=round(denominator))


def wilson(share: float, images: float) -> Interval:
    """Wilson's 95 % score interval of a share among `images`."""
    centre = share + Z95**2 / (2.0 * images)
    half = Z95 * math.sqrt(share * (1.0 - share) / images + Z95**2 / (4.0 * images**2))
    below = 1.0 + Z95**2 / images
    return Interval(max(0.0, (centre - half) / below), min(1.0, (centre + half) / below))
