"""From a model's scores to confidences that mean what they say (one temperature per stage, fitted in training)."""

import numpy as np
from numpy.typing import NDArray

SMALLEST = 1e-7
"""Scores are held this far from 0 and 1 before the logit, so that a temperature acts on saturated ones too."""


def calibrate_detector(scores: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """`sigmoid(logit(score) / temperature)` of scores of any shape, rising, so that a calibration never reorders.

    A score of exactly 0 is the model contract's padding, *not seen*, and stays 0.
    """
    given = np.clip(scores.astype(np.float64), 0.0, 1.0)
    if temperature == 1.0:
        return given
    held = np.clip(given, SMALLEST, 1.0 - SMALLEST)
    calibrated = 1.0 / (1.0 + np.exp(-(np.log(held) - np.log1p(-held)) / temperature))
    return np.where(given > 0.0, calibrated, 0.0)


def calibrate_classifier(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """`softmax(log p / temperature)` over the classes of one image; `[C]` in, `[C]` out, sums to 1."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) / temperature
    powers = np.exp(logits - logits.max())
    calibrated: NDArray[np.float64] = powers / powers.sum()
    return calibrated
