"""The report's shape: what stands in `qc_round.report`, and what pages and exports read."""

from typing import NamedTuple

from pydantic import Field

from varanger.common.words import Frozen


class Interval(NamedTuple):
    """Both ends belong to it."""

    low: float
    high: float


class Raw(Frozen):
    """The unweighted share among the reviewed images of every sample together: biased, shown for comparison."""

    value: float
    interval: Interval | None
    """Wilson's, as if the reviewed images were a simple random sample; None for F1, which is no share of images."""
    images: int
    """Denominator."""


class Figure(Frozen):
    """One figure for the whole dataset. All None where nothing that was reviewed bears on it."""

    raw: Raw | None = None
    corrected: float | None = None
    interval: Interval | None = None
    """95 %, from the posterior."""
    interval_half_prior: Interval | None = None
    """The same under half the prior: where the two differ much, more reviews are needed."""
    standard_error: float | None = None
    """The textbook's; too small for rare species."""


class ClassFigures(Frozen):
    """One class: `predicted` images in the frame, `reviewed` of them, `found` reviewed images truly of it."""

    label: str
    predicted: int
    reviewed: int
    found: int
    precision: Figure
    recall: Figure
    f1: Figure


class BinFigures(Frozen):
    """One confidence bin (low, high]: the accuracy of its own images."""

    low: float
    high: float
    images: int
    reviewed: int
    accuracy: Figure


class SetupReport(Frozen):
    """The figures of one camera setup, or of all together."""

    images: int
    """In the frame."""
    covered_share: float
    """Part of the frame the estimate speaks of: predicted classes with at least one reviewed image."""
    reviewed: int
    not_observed: int
    """Reviewed as bad quality: in no figure, neither right nor wrong."""
    not_observed_share: Figure
    """Estimated share of such images in the whole frame."""
    several_species: int
    """Reviewed images with more than one species; right iff the predicted one is among them."""
    accuracy: Figure
    classes: tuple[ClassFigures, ...]
    bins: tuple[BinFigures, ...]
    confusion: dict[str, dict[str, float]]
    """p_ij: share of the frame predicted i and truly j, only those above zero; sums to one."""


class RoundReport(Frozen):
    """The whole report of a round."""

    version: int = 1
    drawn: int
    reviewed: int
    complete: bool
    estimator: str = "stratified by predicted class and confidence bin (Stehman 2014); Dirichlet posterior, 95 %"
    overall: SetupReport | None = None
    """None until anything was reviewed."""
    setups: dict[str, SetupReport] = Field(default_factory=dict)
