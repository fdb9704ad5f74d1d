"""Ask exported models about staged images: what is measured is what ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from varanger.trainer.domain.calibration import calibrate, fit_temperature
from varanger.trainer.domain.dataset import LabelledImage
from varanger.trainer.domain.evaluation import TruthBox
from varanger.trainer.domain.two_stage import Box
from varanger.trainer.training.letterbox import letterbox
from varanger.trainer.training.staging import StagedImages

_BATCH = 16


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model says of M images: boxes [M, 300, 6] and scores [M, C], uncalibrated."""

    classes: tuple[str, ...]
    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]

    def calibrated(self, temperature: float) -> list[list[Box]]:
        """Boxes per image with calibrated confidences."""
        confidences = calibrate(self.boxes[..., 4], temperature)
        answer: list[list[Box]] = []
        for rows, values in zip(self.boxes, confidences, strict=True):
            kept = int((rows[:, 4] > 0).sum())
            answer.append([self._box(rows[index], float(values[index])) for index in range(kept)])
        return answer

    def _box(self, row: npt.NDArray[np.float32], confidence: float) -> Box:
        x1, y1, x2, y2 = (float(value) for value in row[:4])
        return Box(self.classes[int(row[5])], confidence, (x1, y1, x2, y2))

    def temperature(self, truth: Sequence[frozenset[str]]) -> float:
        """Fit the temperature on the highest score per image: is that class in the image?"""
        best = self.scores.argmax(axis=1)
        correct = [self.classes[index] in labels for index, labels in zip(best, truth, strict=True)]
        return fit_temperature(self.scores.max(axis=1), correct)


def ask(model: bytes, classes: tuple[str, ...], images: Sequence[LabelledImage], staged: StagedImages) -> Answers:
    """Run an exported model over images, a batch at a time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    boxes: list[npt.NDArray[np.float32]] = []
    scores: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(images), _BATCH):
        files = [staged.files[image.path] for image in images[start : start + _BATCH]]
        batch = np.stack([_square(file, staged.side) for file in files])
        batch_boxes, batch_scores = session.run(["boxes", "scores"], {"images": batch})
        boxes.append(batch_boxes)
        scores.append(batch_scores)
    return Answers(classes, np.concatenate(boxes), np.concatenate(scores))


def truth_boxes(images: Sequence[LabelledImage], staged: StagedImages) -> list[list[TruthBox]]:
    """Labelled boxes per image, in the pixels of the square input."""
    answer: list[list[TruthBox]] = []
    for image in images:
        with Image.open(staged.files[image.path]) as picture:
            width, height = picture.size
        left, top = (staged.side - width) // 2, (staged.side - height) // 2
        rows: list[TruthBox] = []
        for box in image.boxes:
            x, y, box_width, box_height = box.bbox
            corner = (left + x * width, top + y * height)
            rows.append(TruthBox(box.label, (*corner, corner[0] + box_width * width, corner[1] + box_height * height)))
        answer.append(rows)
    return answer


def _square(file: Path, side: int) -> npt.NDArray[np.uint8]:
    with Image.open(file) as picture:
        return letterbox(picture.convert("RGB"), side)[0]
