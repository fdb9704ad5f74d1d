"""How well boxes and labels fit the truth: average precision, and F1 over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from varanger.common.answering.boxes import overlap
from varanger.common.words import Detection
from varanger.trainer.domain.dataset import LabelledBox


def average_precision(
    predicted: Sequence[Sequence[Detection]], truth: Sequence[Sequence[LabelledBox]], label: str, iou: float = 0.5
) -> float | None:
    """Area under the precision-recall curve of one class (all points, precision made monotone).

    Args:
        predicted: per image, any order.
        truth: per image.
        label: the class.
        iou: from which a box counts as found.

    Returns:
        0-1, or None where the truth has no box of the class.
    """
    wanted = sum(box.label == label for boxes in truth for box in boxes)
    if not wanted:
        return None
    ranked = sorted(
        ((box.confidence, image, box) for image, boxes in enumerate(predicted) for box in boxes if box.label == label),
        key=lambda row: -row[0],
    )
    taken: set[tuple[int, int]] = set()
    hits = np.zeros(len(ranked))
    for position, (_, image, box) in enumerate(ranked):
        candidates = [
            (overlap(box.bbox, other.bbox), index)
            for index, other in enumerate(truth[image])
            if other.label == label and (image, index) not in taken
        ]
        best, index = max(candidates, default=(0.0, -1))
        if best >= iou:
            taken.add((image, index))
            hits[position] = 1
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(ranked) + 1)
    monotone = np.maximum.accumulate(precision[::-1])[::-1]
    return float((monotone * hits).sum() / wanted)


def mean_average_precision(
    predicted: Sequence[Sequence[Detection]], truth: Sequence[Sequence[LabelledBox]], labels: Sequence[str]
) -> dict[str, float]:
    """AP at IoU 0.5 per class that occurs in the truth, and their mean under ``mean``."""
    found = {label: average_precision(predicted, truth, label) for label in labels}
    known = {label: round(value, 4) for label, value in found.items() if value is not None}
    return {"mean": round(float(np.mean(list(known.values()))), 4) if known else 0.0, **known}


@dataclass(frozen=True, slots=True)
class ImageScores:
    """Precision, recall and F1 over images, per label, and their plain mean."""

    macro_f1: float
    accuracy: float
    per_label: dict[str, dict[str, float]]


def image_scores(
    predicted: Sequence[str], truth: Sequence[frozenset[str]], blank: str, blank_weight: float = 1.0
) -> ImageScores:
    """Compare one predicted label per image with everything that is in it.

    A label is right where it is among the image's own; blank is right where there is none. An image with
    several classes of which one was named is no miss for the others.

    Args:
        predicted: one label per image.
        truth: all labels per image; empty for a blank.
        blank: the word for a blank.
        blank_weight: how many images each blank stands for, see :func:`weight_of_blanks`.
    """
    wanted = [labels or frozenset({blank}) for labels in truth]
    rows = [
        (answer, own, 1.0 if labels else blank_weight)
        for answer, own, labels in zip(predicted, wanted, truth, strict=True)
    ]
    per_label: dict[str, dict[str, float]] = {}
    for label in sorted(set().union(*wanted)):
        hits = sum(weight for answer, own, weight in rows if answer == label and label in own)
        false = sum(weight for answer, own, weight in rows if answer == label and label not in own)
        missed = sum(weight for answer, own, weight in rows if label in own and answer not in own)
        per_label[label] = {
            "precision": round(hits / (hits + false), 4) if hits else 0.0,
            "recall": round(hits / (hits + missed), 4) if hits else 0.0,
            "f1": round(2 * hits / (2 * hits + false + missed), 4) if hits else 0.0,
            "images": float(sum(label in own for own in wanted)),
        }
    right = sum(weight for answer, own, weight in rows if answer in own)
    total = sum(weight for *_, weight in rows)
    mean = float(np.mean([row["f1"] for row in per_label.values()])) if per_label else 0.0
    return ImageScores(round(mean, 4), round(right / total, 4) if total else 0.0, per_label)


def weight_of_blanks(truth: Sequence[frozenset[str]], blank_share: float) -> float:
    """How many images each blank must stand for so that blanks are the given share; 1 where there is none to weigh.

    Training sets hold few blanks, cameras take many: thresholds chosen on the former as they are let experts call
    rocks animals.
    """
    blanks = sum(not labels for labels in truth)
    if not blanks or blanks == len(truth):
        return 1.0
    return blank_share / (1 - blank_share) * (len(truth) - blanks) / blanks
