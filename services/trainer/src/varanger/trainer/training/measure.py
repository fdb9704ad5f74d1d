"""Ask exported models about staged images: what is measured is what ships, read by the rule that answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from varanger.common.answering.boxes import Letterbox
from varanger.common.answering.reading import read_stage
from varanger.common.answering.stages import StageAnswer
from varanger.trainer.domain.calibration import fit_temperature
from varanger.trainer.domain.dataset import LabelledImage
from varanger.trainer.training.letterbox import letterbox
from varanger.trainer.training.staging import StagedImages

_BATCH = 16


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model says of M images: boxes [M, 300, 6] and scores [M, C], uncalibrated."""

    stage: str
    classes: tuple[str, ...]
    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    letterboxes: tuple[Letterbox, ...]

    def calibrated(self, temperature: float) -> list[StageAnswer]:
        """One stage answer per image, boxes in shares of it."""
        return [
            read_stage(self.stage, self.classes, temperature, boxes, scores, letterbox=place, keep_from=0.0)
            for boxes, scores, place in zip(self.boxes, self.scores, self.letterboxes, strict=True)
        ]

    def temperature(self, truth: Sequence[frozenset[str]]) -> float:
        """Fit the temperature on the highest score per image: is that class in the image?"""
        best = self.scores.argmax(axis=1)
        correct = [self.classes[index] in labels for index, labels in zip(best, truth, strict=True)]
        return fit_temperature(self.scores.max(axis=1), correct)


def ask(
    stage: str, model: bytes, classes: tuple[str, ...], images: Sequence[LabelledImage], staged: StagedImages
) -> Answers:
    """Run an exported model over images, a batch at a time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    boxes: list[npt.NDArray[np.float32]] = []
    scores: list[npt.NDArray[np.float32]] = []
    places: list[Letterbox] = []
    for start in range(0, len(images), _BATCH):
        squares = [_square(staged.files[image.path], staged.side) for image in images[start : start + _BATCH]]
        batch_boxes, batch_scores = session.run(["boxes", "scores"], {"images": np.stack([one for one, _ in squares])})
        boxes.append(batch_boxes)
        scores.append(batch_scores)
        places += [place for _, place in squares]
    return Answers(stage, classes, np.concatenate(boxes), np.concatenate(scores), tuple(places))


def _square(file: Path, side: int) -> tuple[npt.NDArray[np.uint8], Letterbox]:
    with Image.open(file) as picture:
        return letterbox(picture.convert("RGB"), side)
