"""From a model's arrays to what the routing rule reads: calibrated boxes in shares of the upright image."""

import numpy as np
from numpy.typing import NDArray

from varanger.common.answering.boxes import Letterbox
from varanger.common.answering.calibration import calibrate_classifier, calibrate_detector
from varanger.common.answering.stages import StageAnswer
from varanger.common.releases import CLASSIFIER, StageModel
from varanger.common.words import Detection

DECIMALS = 6


def read_stage(
    stage: str,
    model: StageModel,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    letterbox: Letterbox,
    *,
    keep_from: float,
) -> StageAnswer:
    """One stage's answer for one image.

    Args:
        stage: its name.
        model: its classes and its temperature.
        boxes: `[M, 6]`: x1, y1, x2, y2 in pixels of the model's square, score, class index; M = 0 of a classifier.
        scores: `[C]`, highest score per class.
        letterbox: how the image lay in the square.
        keep_from: calibrated confidence below which a box is dropped.
    """
    if stage == CLASSIFIER:
        calibrated = calibrate_classifier(scores, model.temperature)
    else:
        calibrated = calibrate_detector(scores, model.temperature)
    confidences = calibrate_detector(boxes[:, 4], model.temperature)
    found = []
    for row in np.flatnonzero((confidences >= keep_from) & (boxes[:, 4] > 0)):
        x1, y1, x2, y2, _, index = (float(value) for value in boxes[row])
        bbox = letterbox.to_shares(x1, y1, x2, y2)
        if bbox[2] > 0 and bbox[3] > 0:  # else it lies in the letterbox's margin
            confidence = round(float(confidences[row]), DECIMALS)
            label = model.classes[int(index)]
            found.append(Detection(stage=stage, label=label, confidence=confidence, bbox=bbox))
    highest = (round(float(score), DECIMALS) for score in calibrated)
    return StageAnswer(tuple(found), dict(zip(model.classes, highest, strict=True)))
