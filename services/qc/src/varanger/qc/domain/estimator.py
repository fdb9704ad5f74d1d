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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from varanger.qc.domain.strata import Strata

NOT_OBSERVED = "not_observed"
"""The outcome of a `bad_quality` review. Not a class: nobody predicts it."""

Weights = NDArray[np.float64]
"""What one image adds to a total, by stratum and outcome: (H, K), or (K,) where the stratum does not matter."""


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
    y, x = (np.broadcast_to(part, strata.seen.shape) for part in (ratio.numerator, ratio.denominator))
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


def accuracy(strata: Strata) -> Ratio:
    """Correct among observed."""
    outcome = np.arange(len(strata.outcomes))
    return Ratio((outcome == strata.predicted[:, None]).astype(float), _observed(strata))


def precision(strata: Strata, outcome: int) -> Ratio:
    """Truly `outcome` among those predicted so."""
    predicted = (strata.predicted == outcome)[:, None].astype(float)
    return Ratio(predicted * _truly(strata, outcome), predicted * _observed(strata))


def recall(strata: Strata, outcome: int) -> Ratio:
    """Predicted so among those truly `outcome`."""
    predicted = (strata.predicted == outcome)[:, None].astype(float)
    return Ratio(predicted * _truly(strata, outcome), _truly(strata, outcome))


def f1(strata: Strata, outcome: int) -> Ratio:
    """Harmonic mean of precision and recall, as one ratio of totals."""
    predicted = (strata.predicted == outcome)[:, None].astype(float)
    truly = _truly(strata, outcome)
    return Ratio(2.0 * predicted * truly, predicted * _observed(strata) + truly)


def share_of(strata: Strata, outcome: int) -> Ratio:
    """`outcome` among all images, observable or not."""
    return Ratio(_truly(strata, outcome), np.ones(len(strata.outcomes)))


def _truly(strata: Strata, outcome: int) -> NDArray[np.float64]:
    return (np.arange(len(strata.outcomes)) == outcome).astype(float)


def _observed(strata: Strata) -> NDArray[np.float64]:
    return np.array([outcome != NOT_OBSERVED for outcome in strata.outcomes], dtype=float)
