"""From reviewed images to the report of a round. Needs the cells of the frame, never the frame itself."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np

from varanger.qc.domain import estimator
from varanger.qc.domain.cells import Cell, CellKey, key_of
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
JUDGED = (RIGHT, WRONG, NOT_OBSERVED)
Z95 = 1.959963984540054


class ReviewedImage(NamedTuple):
    """One reviewed image: its cell, and what it turned out to be (`NOT_OBSERVED` for bad quality)."""

    cell: CellKey
    outcome: str
    several_species: bool = False


@dataclass(frozen=True)
class _Part:
    """Some cells of the frame, and what was seen in them."""

    cells: Sequence[Cell]
    seen: Mapping[CellKey, Mapping[str, int]]
    several_species: int = 0

    @property
    def images(self) -> int:
        return sum(cell.images for cell in self.cells)

    @property
    def reviewed(self) -> int:
        return sum(sum(counts.values()) for counts in self.seen.values())

    def where(
        self,
        *,
        camera_setup: str | None = None,
        label: str | None = None,
        bin_index: int | None = None,
        several_species: int = 0,
    ) -> "_Part":
        """The cells of one camera setup, predicted class or bin."""
        cells = [
            cell
            for cell in self.cells
            if camera_setup in {None, cell.camera_setup}
            and label in {None, cell.label}
            and bin_index in {None, cell.bin}
        ]
        keys = [key_of(cell) for cell in cells]
        return _Part(cells, {key: self.seen[key] for key in keys if key in self.seen}, several_species)

    def judged(self) -> "_Part":
        """The same with `right` and `wrong` for outcomes."""
        seen: dict[CellKey, dict[str, int]] = {}
        for key, counts in self.seen.items():
            judged = seen.setdefault(key, {})
            for outcome, count in counts.items():
                told = RIGHT if outcome == key[1] else NOT_OBSERVED if outcome == NOT_OBSERVED else WRONG
                judged[told] = judged.get(told, 0) + count
        return _Part(self.cells, seen)


@dataclass(frozen=True)
class _Evidence:
    """Strata, and what they say under both priors."""

    strata: Strata
    posterior: Posterior
    half_posterior: Posterior

    def figure(self, ratio: Ratio, *, binomial: bool = True) -> Figure:
        """One figure, raw and corrected. `binomial`: the raw one is a share of images and has Wilson's interval."""
        found = estimator.estimate(self.strata, ratio)
        interval = self.posterior.interval(ratio, found.value)
        half = self.half_posterior.interval(ratio, found.value)
        above, below = (
            float((self.strata.seen * weights[self.strata.predicted]).sum())
            for weights in (ratio.numerator, ratio.denominator)
        )
        return Figure(
            raw=_raw(above, below, binomial),
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

    Raises:
        ValueError: an image in a cell that the frame does not have, or more of them than it holds.
    """
    drawn = sum(cell.drawn for cell in cells)
    if not reviewed:
        return RoundReport(drawn=drawn, reviewed=0, complete=drawn == 0)
    several = Counter(image.cell[0] for image in reviewed if image.several_species)
    whole = _Part(cells, _count(reviewed), several.total())
    outcomes = _outcomes(whole)
    setups = sorted({cell.camera_setup for cell in cells})
    parts = {name: whole.where(camera_setup=name, several_species=several[name]) for name in setups}
    found = {
        name: _findings(part, outcomes, design, position)
        for position, (name, part) in enumerate(parts.items())
        if part.seen
    }
    strata = strata_of(cells, whole.seen, outcomes)
    together = _Findings(
        _together([one.evidence for one in found.values()], strata),
        {
            index: _together(
                [one.bins[index] for one in found.values() if index in one.bins],
                _bin_strata(whole.where(bin_index=index)),
            )
            for index in range(len(design.bins))
            if any(index in one.bins for one in found.values())
        },
    )
    overall = _setup_report(together, whole, design)
    return RoundReport(
        drawn=drawn,
        reviewed=len(reviewed),
        complete=len(reviewed) >= drawn,
        overall=overall,
        setups={
            name: overall if len(setups) == 1 else _setup_report(one, parts[name], design)
            for name, one in found.items()
        },
    )


@dataclass(frozen=True)
class _Findings:
    """The evidence on all classes, and on right and wrong in each bin that was looked at."""

    evidence: _Evidence
    bins: Mapping[int, _Evidence]


def _findings(part: _Part, outcomes: tuple[str, ...], design: RoundDesign, position: int) -> _Findings:
    """Of one camera setup. Its `position` goes into the seed: posteriors of two setups are independent."""
    seed = (design.seed, position)
    bins = {index: part.where(bin_index=index) for index in range(len(design.bins))}
    return _Findings(
        _evidence(strata_of(part.cells, part.seen, outcomes), seed),
        {index: _evidence(_bin_strata(inside), seed) for index, inside in bins.items() if inside.seen},
    )


def _bin_strata(inside: _Part) -> Strata:
    """Strata of one bin, of right and wrong alone: classes collapse within it where they are sparse."""
    return strata_of(inside.cells, inside.judged().seen, JUDGED, predicted=lambda _: RIGHT)


def _evidence(strata: Strata, seed: tuple[int, int]) -> _Evidence:
    return _Evidence(strata, posterior(strata, seed, PRIOR), posterior(strata, seed, HALF_PRIOR))


def _together(parts: Sequence[_Evidence], strata: Strata) -> _Evidence:
    """All camera setups: strata never span two, so their posteriors add up."""
    return _Evidence(
        strata,
        reduce(add, (part.posterior for part in parts)),
        reduce(add, (part.half_posterior for part in parts)),
    )


def _setup_report(findings: _Findings, part: _Part, design: RoundDesign) -> SetupReport:
    evidence = findings.evidence
    outcomes = evidence.strata.outcomes
    return SetupReport(
        images=part.images,
        covered_share=float(evidence.strata.images.sum()) / part.images,
        reviewed=part.reviewed,
        not_observed=sum(counts.get(NOT_OBSERVED, 0) for counts in part.seen.values()),
        not_observed_share=evidence.figure(estimator.share_of(outcomes, NOT_OBSERVED)),
        several_species=part.several_species,
        accuracy=evidence.figure(estimator.accuracy(outcomes)),
        classes=tuple(_class_figures(evidence, label, part) for label in outcomes if label != NOT_OBSERVED),
        bins=tuple(_bin_figures(findings, part, design)),
        confusion=_confusion(evidence.strata),
    )


def _class_figures(evidence: _Evidence, label: str, part: _Part) -> ClassFigures:
    outcomes = evidence.strata.outcomes
    own = part.where(label=label)
    return ClassFigures(
        label=label,
        predicted=own.images,
        reviewed=own.reviewed,
        found=sum(counts.get(label, 0) for counts in part.seen.values()),
        precision=evidence.figure(estimator.precision(outcomes, label)),
        recall=evidence.figure(estimator.recall(outcomes, label)),
        f1=evidence.figure(estimator.f1(outcomes, label), binomial=False),
    )


def _bin_figures(findings: _Findings, part: _Part, design: RoundDesign) -> Iterator[BinFigures]:
    """Each bin's own accuracy, from its images alone."""
    for index, (low, high) in enumerate(design.bins):
        inside = part.where(bin_index=index)
        if not inside.cells:
            continue
        evidence = findings.bins.get(index)
        accuracy = Figure() if evidence is None else evidence.figure(estimator.accuracy(JUDGED))
        yield BinFigures(low=low, high=high, images=inside.images, reviewed=inside.reviewed, accuracy=accuracy)


def _count(reviewed: Sequence[ReviewedImage]) -> dict[CellKey, dict[str, int]]:
    seen: dict[CellKey, dict[str, int]] = {}
    for (cell, outcome), count in Counter((image.cell, image.outcome) for image in reviewed).items():
        seen.setdefault(cell, {})[outcome] = count
    return seen


def _outcomes(part: _Part) -> tuple[str, ...]:
    """Every class predicted or found, by name; last, what could not be judged."""
    names = {cell.label for cell in part.cells}.union(*part.seen.values())
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
