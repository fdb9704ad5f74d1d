"""Fit the one number per model that turns scores into confidences that mean what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from varanger.common.answering.calibration import calibrate_detector

_LOWEST, _HIGHEST = 0.05, 20.0


def fit_temperature(scores: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Find the temperature under which the confidences are most likely (Guo et al. 2017, arXiv:1706.04599).

    Args:
        scores: [M] highest score per image, on images the model did not learn from.
        correct: [M] whether the class with that score was in the image.

    Returns:
        the temperature, between 0.05 and 20; 1 where there is nothing to learn from (no right or no wrong answer).
    """
    values, truth = np.asarray(scores, np.float64), np.asarray(correct, bool)
    if not len(values) or truth.all() or not truth.any():
        return 1.0

    def loss(log_temperature: float) -> float:
        confidence = np.clip(calibrate_detector(values, float(np.exp(log_temperature))), 1e-12, 1 - 1e-12)
        return float(-np.where(truth, np.log(confidence), np.log1p(-confidence)).mean())

    # Golden-section search: the loss is convex in 1 / temperature, so it has one valley in its logarithm too.
    low, high = float(np.log(_LOWEST)), float(np.log(_HIGHEST))
    ratio = (5**0.5 - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))
