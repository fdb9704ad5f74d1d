"""Average precision and image-level F1 against values worked out by hand."""

from pathlib import Path

import pytest

from varanger.common.answering.stages import StageAnswer
from varanger.common.words import BoundingBox, Detection
from varanger.trainer.domain.dataset import LabelledBox, LabelledImage
from varanger.trainer.domain.evaluation import (
    average_precision,
    image_scores,
    mean_average_precision,
    weight_of_blanks,
)
from varanger.trainer.training.evaluate import StageAnswers, Thresholds, measure_release

AT_0 = (0.0, 0.0, 0.1, 0.1)
AT_20 = (0.2, 0.0, 0.1, 0.1)


def seen(label: str, confidence: float, bbox: BoundingBox = AT_0, stage: str = "global") -> Detection:
    return Detection(stage=stage, label=label, confidence=confidence, bbox=bbox)


def test_average_precision_by_hand() -> None:
    truth = [[LabelledBox("fox", AT_0)], [LabelledBox("fox", AT_20)]]
    # Ranked: hit, false, hit: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1. Area: 1/2 * 1 + 1/2 * 2/3.
    predicted = [[seen("fox", 0.9, AT_0), seen("fox", 0.8, AT_20)], [seen("fox", 0.7, AT_20)]]
    assert average_precision(predicted, truth, "fox") == pytest.approx(1 / 2 + 1 / 3)


def test_a_second_box_on_one_animal_is_false() -> None:
    truth = [[LabelledBox("fox", AT_0)], [LabelledBox("fox", AT_0)]]
    predicted = [[seen("fox", 0.9, AT_0), seen("fox", 0.8, AT_0)], [seen("fox", 0.7, AT_0)]]
    assert average_precision(predicted, truth, "fox") == pytest.approx(1 / 2 + 1 / 3)


def test_classes_without_truth_are_left_out_of_the_mean() -> None:
    truth = [[LabelledBox("fox", AT_0)]]
    found = mean_average_precision([[seen("fox", 0.9, AT_0), seen("hare", 0.9, AT_20)]], truth, ["fox", "hare"])
    assert found == {"mean": 1.0, "fox": 1.0}
    assert average_precision([[]], truth, "hare") is None
    assert average_precision([[]], truth, "fox") == 0.0


def test_image_scores_by_hand() -> None:
    truth = [frozenset({"fox"}), frozenset({"fox"}), frozenset(), frozenset({"hare", "fox"})]
    scores = image_scores(["fox", "blank", "blank", "hare"], truth, "blank")
    assert scores.accuracy == 0.75
    assert scores.per_label["fox"] == {"precision": 1.0, "recall": 0.5, "f1": 0.6667, "images": 3.0}
    assert scores.per_label["blank"]["f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert scores.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1) / 3, abs=1e-4)


def test_blanks_can_stand_for_more_images() -> None:
    truth = [frozenset({"fox"}), frozenset({"fox"}), frozenset()]
    assert weight_of_blanks(truth, 0.75) == pytest.approx(6)
    assert weight_of_blanks([frozenset()], 0.75) == 1.0
    # One false fox of one blank that stands for six: precision 2 / 8.
    scores = image_scores(["fox", "fox", "fox"], truth, "blank", blank_weight=6)
    assert scores.per_label["fox"]["precision"] == 0.25
    assert scores.accuracy == 0.25


def test_a_release_is_measured_by_the_rule_that_answers() -> None:
    images = [LabelledImage(Path(f"{i}.jpg"), "site", str(i), boxes) for i, boxes in enumerate(TRUTH)]
    by_stage = {
        "global": [StageAnswer((seen("deer", 0.9),)), StageAnswer(), StageAnswer((seen("person", 0.9),))],
        "expert:large": [StageAnswer((seen("elk", 0.8, stage="expert:large"),)), StageAnswer(), StageAnswer()],
        "expert:small": [
            StageAnswer((seen("hare", 0.99, AT_20, "expert:small"),)),
            StageAnswer((seen("hare", 0.7, stage="expert:small"),)),
            StageAnswer(),
        ],
    }
    answers = StageAnswers(images, by_stage, {"deer": "large", "elk": "large", "hare": "small"}, 0.5)
    assert answers.labels(0.3, 0.5) == ["elk", "hare", "person"], "routed; voted on background; people never routed"
    assert answers.labels(0.3, 0.75) == ["elk", "blank", "person"]
    assert answers.global_labels(0.3) == ["deer", "blank", "person"]
    measured = measure_release(answers, Thresholds(0.3, 0.5))
    assert measured["two_stage"]["accuracy"] == 1.0
    assert measured["one_stage"]["accuracy"] == pytest.approx(1 / 3, abs=1e-4)


TRUTH = ((LabelledBox("elk", AT_0),), (LabelledBox("hare", AT_0),), (LabelledBox("person", AT_0),))
