"""From a model's scores to confidences that mean what they say (one temperature per stage, fitted in training)."""

import math

import numpy as np
from numpy.typing import NDArray

SMALLEST = 1e-7
"""Scores are held this far from 0 and 1 before the logit, so that a temperature acts on saturated ones too."""


def calibrate_detector(score: float, temperature: float) -> float:
    """`sigmoid(logit(score) / temperature)`; strictly rising in the score, so a calibration never reorders boxes.

    A score of exactly 0 is the model contract's padding, *not seen*, and stays 0.
    """
    if score <= 0.0:
        return 0.0
    if temperature == 1.0:
        return min(score, 1.0)
    held = min(max(score, SMALLEST), 1.0 - SMALLEST)
    return 1.0 / (1.0 + math.exp(-(math.log(held) - math.log1p(-held)) / temperature))


def calibrate_classifier(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """`softmax(log p / temperature)` over the classes of one image; `[C]` in, `[C]` out, sums to 1."""
    logits = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    powers = np.exp(logits - logits.max())
    calibrated: NDArray[np.float64] = powers / powers.sum()
    return calibrated
