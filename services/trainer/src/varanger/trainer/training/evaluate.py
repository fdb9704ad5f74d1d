"""Choose thresholds on the validation side, measure on the test side: one stage against two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from varanger.common.answering.answer import naming_box
from varanger.common.answering.routing import route
from varanger.common.answering.stages import StageAnswer
from varanger.common.releases import GLOBAL, RoutingRule
from varanger.common.words import BLANK, Detection
from varanger.trainer.domain.dataset import LabelledImage
from varanger.trainer.domain.evaluation import ImageScores, image_scores, mean_average_precision, weight_of_blanks
from varanger.trainer.training.measure import Answers

_FLOORS = tuple(round(0.05 * step, 2) for step in range(1, 19))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Chosen on the validation side."""

    detection_floor: float
    background_threshold: float


@dataclass(frozen=True, slots=True)
class StageAnswers:
    """Every stage's calibrated answer per image."""

    images: Sequence[LabelledImage]
    by_stage: Mapping[str, Sequence[StageAnswer]]
    groups: Mapping[str, str]
    blank_share: float
    """Share of blanks to choose thresholds for."""

    def labels(self, floor: float, background: float) -> list[str]:
        """The release's label per image, by the rule that answers."""
        rule = RoutingRule(groups=dict(self.groups), detection_floor=floor, background_threshold=background)
        return [
            _label(route({stage: answers[index] for stage, answers in self.by_stage.items()}, rule).final)
            for index in range(len(self.images))
        ]

    def global_labels(self, floor: float) -> list[str]:
        """The label per image by the global model alone."""
        return [_label(answer.seen(floor)) for answer in self.by_stage[GLOBAL]]

    def scored(self, labels: list[str], *, weighted: bool) -> ImageScores:
        """Labels against the truth; weighted: as if blanks were the expected share of all images."""
        truth = [image.labels for image in self.images]
        return image_scores(labels, truth, BLANK, weight_of_blanks(truth, self.blank_share) if weighted else 1.0)


def choose_thresholds(answers: StageAnswers) -> Thresholds:
    """Take the pair with the best mean F1 over labels at the expected share of blanks; ties go to the lower."""
    pairs = [(floor, background) for floor in _FLOORS for background in _FLOORS if background >= floor]
    return Thresholds(*max(pairs, key=lambda pair: answers.scored(answers.labels(*pair), weighted=True).macro_f1))


def measure_release(answers: StageAnswers, thresholds: Thresholds) -> dict[str, Any]:
    """Image-level figures of the global model alone and of the whole release, per label for the latter."""
    labels = {
        "one_stage": answers.global_labels(thresholds.detection_floor),
        "two_stage": answers.labels(thresholds.detection_floor, thresholds.background_threshold),
    }
    measured: dict[str, Any] = {"images": len(answers.images)}
    for name, own in labels.items():
        plain, weighted = answers.scored(own, weighted=False), answers.scored(own, weighted=True)
        measured[name] = {"macro_f1": plain.macro_f1, "accuracy": plain.accuracy}
        measured[f"{name}_at_blank_share"] = {
            "blank_share": answers.blank_share,
            "macro_f1": weighted.macro_f1,
            "accuracy": weighted.accuracy,
        }
        measured[f"{name}_per_label"] = plain.per_label
    return measured


def measure_boxes(answers: Answers, images: Sequence[LabelledImage]) -> dict[str, float]:
    """AP at IoU 0.5 per class of one model, over the images whose animals all have boxes.

    An expert is asked about every image: a box on another group's animal is a false one.
    """
    boxed = [index for index, image in enumerate(images) if not image.unboxed]
    predicted = answers.calibrated(1.0)
    truth = [images[index].boxes for index in boxed]
    return mean_average_precision([predicted[index].detections for index in boxed], truth, answers.classes)


def _label(final: Sequence[Detection]) -> str:
    best = naming_box(final)
    return best.label if best else BLANK
