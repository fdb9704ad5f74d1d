"""Choose thresholds on the validation side, measure on the test side: one stage against two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from varanger.common.words import BLANK
from varanger.trainer.domain.dataset import LabelledImage
from varanger.trainer.domain.evaluation import ImageScores, image_scores, mean_average_precision
from varanger.trainer.domain.two_stage import Box, one_stage_label, two_stage_label
from varanger.trainer.training.measure import Answers, truth_boxes
from varanger.trainer.training.staging import StagedImages

_FLOORS = tuple(round(0.05 * step, 2) for step in range(1, 17))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Chosen on the validation side."""

    detection_floor: float
    background_threshold: float


@dataclass(frozen=True, slots=True)
class StageAnswers:
    """Calibrated boxes per image, of every stage."""

    images: Sequence[LabelledImage]
    global_boxes: list[list[Box]]
    expert_boxes: Mapping[str, list[list[Box]]]
    groups: Mapping[str, str]

    def labels(self, floor: float, background: float) -> list[str]:
        """The release's label per image."""
        return [
            two_stage_label(
                self.global_boxes[index],
                {group: boxes[index] for group, boxes in self.expert_boxes.items()},
                self.groups,
                floor,
                background,
            )
            for index in range(len(self.images))
        ]

    def scored(self, labels: list[str]) -> ImageScores:
        """Labels against the truth."""
        return image_scores(labels, [image.labels for image in self.images], BLANK)


def choose_thresholds(answers: StageAnswers) -> Thresholds:
    """Take the floor, then the background threshold, with the best mean F1 over labels; ties go to the lower."""
    floor = max(_FLOORS, key=lambda value: answers.scored(answers.labels(value, value)).macro_f1)
    backgrounds = [value for value in _FLOORS if value >= floor]
    best = max(backgrounds, key=lambda value: answers.scored(answers.labels(floor, value)).macro_f1)
    return Thresholds(floor, best)


def measure_release(answers: StageAnswers, thresholds: Thresholds) -> dict[str, Any]:
    """Image-level figures of the global model alone and of the whole release, per label for the latter."""
    alone = answers.scored([one_stage_label(boxes, thresholds.detection_floor) for boxes in answers.global_boxes])
    both = answers.scored(answers.labels(thresholds.detection_floor, thresholds.background_threshold))
    return {
        "images": len(answers.images),
        "one_stage": {"macro_f1": alone.macro_f1, "accuracy": alone.accuracy},
        "two_stage": {"macro_f1": both.macro_f1, "accuracy": both.accuracy},
        "one_stage_per_label": alone.per_label,
        "two_stage_per_label": both.per_label,
    }


def measure_boxes(answers: Answers, images: Sequence[LabelledImage], staged: StagedImages) -> dict[str, float]:
    """AP at IoU 0.5 per class of one model, over the images whose animals all have boxes.

    An expert is asked about every image: a box on another group's animal is a false one.
    """
    boxed = [index for index, image in enumerate(images) if not image.unboxed]
    predicted = answers.calibrated(1.0)
    truth = truth_boxes([images[index] for index in boxed], staged)
    return mean_average_precision([predicted[index] for index in boxed], truth, answers.classes)
