"""From a model's arrays to what the routing rule reads: calibrated boxes in shares of the upright image."""

import numpy as np
from numpy.typing import NDArray

from varanger.common.answering.boxes import Letterbox
from varanger.common.answering.calibration import calibrate_classifier, calibrate_detector
from varanger.common.answering.stages import StageAnswer
from varanger.common.releases import CLASSIFIER
from varanger.common.words import Detection

DECIMALS = 6


def read_stage(
    stage: str,
    classes: tuple[str, ...],
    temperature: float,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    *,
    letterbox: Letterbox,
    keep_from: float,
) -> StageAnswer:
    """One stage's answer for one image.

    Args:
        stage: its name.
        classes: its names, in the order of the model's class indices.
        temperature: of its calibration.
        boxes: `[M, 6]`: x1, y1, x2, y2 in pixels of the model's square, score, class index; M = 0 of a classifier.
        scores: `[C]`, highest score per class.
        letterbox: how the image lay in the square.
        keep_from: calibrated confidence below which a box is dropped.
    """
    if stage == CLASSIFIER:
        calibrated = calibrate_classifier(scores, temperature)
    else:
        calibrated = calibrate_detector(scores, temperature)
    confidences = calibrate_detector(boxes[:, 4], temperature)
    found = []
    for row in np.flatnonzero((confidences >= keep_from) & (boxes[:, 4] > 0)):
        x1, y1, x2, y2, _, index = (float(value) for value in boxes[row])
        bbox = letterbox.to_shares(x1, y1, x2, y2)
        if bbox[2] > 0 and bbox[3] > 0:  # else it lies in the letterbox's margin
            confidence = round(float(confidences[row]), DECIMALS)
            label = classes[int(index)]
            found.append(Detection(stage=stage, label=label, confidence=confidence, bbox=bbox))
    highest = (round(float(score), DECIMALS) for score in calibrated)
    return StageAnswer(tuple(found), dict(zip(classes, highest, strict=True)))
