"""The stratified estimator: accuracy, precision, recall and F1 of the whole dataset from a reviewed part of it.

With N_h images in stratum h, n_h of them reviewed and n_hk of those turning out as k, p_hk = (N_h/N)·n_hk/n_h
(Stehman 2014, doi 10.1080/01431161.2014.930207; Olofsson et al. 2014, doi 10.1016/j.rse.2014.02.015). This is the
textbook estimator: the formula of Böhner et al. 2023, appendix C, was not available to us. Every figure is a ratio of
two totals, Y/X:

    accuracy     Y correct                 X observed
    precision_i  Y predicted i and truly i X predicted i and observed
    recall_i     Y predicted i and truly i X truly i
    F1_i         Y 2·(predicted and truly) X predicted i and observed + truly i

so one function estimates them all. An image that a person could not judge (`NOT_OBSERVED`) is an outcome like any
other with Y = X = 0: figures are about observable images, and nothing is assumed of the others.

The standard error is the textbook's linearisation with finite-population correction. It is reported because people
know it, and it is too small where a species is rare: intervals come from `posterior.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varanger.qc.domain.strata import Strata

NOT_OBSERVED = "not_observed"
"""The outcome of a `bad_quality` review. Not a class: nobody predicts it."""

Weights = NDArray[np.float64]
"""What one image adds to a total, by predicted class and outcome: (P, K)."""


@dataclass(frozen=True)
class Ratio:
    """Which images add to the numerator and which to the denominator of one figure."""

    numerator: Weights
    denominator: Weights


@dataclass(frozen=True)
class Estimate:
    """A ratio of totals. Both None where no image adds to the denominator."""

    value: float | None
    standard_error: float | None


def estimate(strata: Strata, ratio: Ratio) -> Estimate:
    """Y/X with the standard error of the combined ratio estimator (Stehman 2014, eq. 27-28).

    Var = X^-2 Σ_h N_h² (1 - n_h/N_h) s²_h / n_h, with s²_h the variance of y - (Y/X)·x within stratum h.
    A stratum with one image reviewed has no variance of its own and takes that of all strata together.
    """
    y, x = ratio.numerator[strata.predicted], ratio.denominator[strata.predicted]
    totals = strata.totals
    whole = float((totals * x).sum())
    if whole <= 0.0:
        return Estimate(None, None)
    value = float((totals * y).sum()) / whole
    residual = y - value * x
    mean = (strata.share * residual).sum(axis=1)
    spread = (strata.share * (residual - mean[:, None]) ** 2).sum(axis=1)
    single = strata.effective <= 1.0
    within = np.where(single, 0.0, spread * strata.effective / np.where(single, 1.0, strata.effective - 1.0))
    within = np.where(single, _pooled_variance(strata, residual), within)
    # (1 - n/N)·N² = (N - n)·N: zero for a census, whatever its spread.
    variance = float((strata.unseen * strata.images * within / strata.effective).sum()) / whole**2
    return Estimate(value, math.sqrt(variance))


def _pooled_variance(strata: Strata, residual: NDArray[np.float64]) -> float:
    """Variance of the residuals over all images, weighted by their totals."""
    share = strata.totals / strata.images.sum()
    mean = float((share * residual).sum())
    return float((share * (residual - mean) ** 2).sum())


def accuracy(outcomes: Sequence[str]) -> Ratio:
    """Correct among observed."""
    return Ratio(np.eye(len(outcomes)), _observed(outcomes))


def precision(outcomes: Sequence[str], label: str) -> Ratio:
    """Truly `label` among those predicted so."""
    return Ratio(_both(outcomes, label), _predicted(outcomes, label) * _observed(outcomes))


def recall(outcomes: Sequence[str], label: str) -> Ratio:
    """Predicted `label` among those truly so."""
    return Ratio(_both(outcomes, label), _truly(outcomes, label))


def f1(outcomes: Sequence[str], label: str) -> Ratio:
    """Harmonic mean of precision and recall, as one ratio of totals."""
    wrong_or_right = _predicted(outcomes, label) * _observed(outcomes) + _truly(outcomes, label)
    return Ratio(2.0 * _both(outcomes, label), wrong_or_right)


def share_of(outcomes: Sequence[str], label: str) -> Ratio:
    """Those that turn out as `label`, among all images, observable or not."""
    return Ratio(_truly(outcomes, label), np.ones((len(outcomes), len(outcomes))))


def _predicted(outcomes: Sequence[str], label: str) -> Weights:
    """One in the row of `label`, shape (K, K)."""
    weights = np.zeros((len(outcomes), len(outcomes)))
    weights[outcomes.index(label)] = 1.0
    return weights


def _truly(outcomes: Sequence[str], label: str) -> Weights:
    """One in the column of `label`, shape (K, K)."""
    return _predicted(outcomes, label).transpose()


def _both(outcomes: Sequence[str], label: str) -> Weights:
    return _predicted(outcomes, label) * _truly(outcomes, label)


def _observed(outcomes: Sequence[str]) -> Weights:
    """One in every column but that of images nobody could judge, shape (K, K)."""
    weights = np.ones((len(outcomes), len(outcomes)))
    weights[:, [outcome == NOT_OBSERVED for outcome in outcomes]] = 0.0
    return weights
