"""Average precision and image-level F1 against values worked out by hand."""

import pytest

from varanger.trainer.domain.evaluation import (
    TruthBox,
    average_precision,
    image_scores,
    mean_average_precision,
    overlap,
    weight_of_blanks,
)
from varanger.trainer.domain.two_stage import Box, one_stage_label, two_stage_label

AT_0 = (0.0, 0.0, 10.0, 10.0)
AT_20 = (20.0, 0.0, 30.0, 10.0)
HALF = (0.0, 0.0, 10.0, 5.0)


def test_overlap() -> None:
    assert overlap(AT_0, AT_0) == 1.0
    assert overlap(AT_0, AT_20) == 0.0
    assert overlap(AT_0, HALF) == pytest.approx(0.5)


def test_average_precision_by_hand() -> None:
    truth = [[TruthBox("fox", AT_0)], [TruthBox("fox", AT_20)]]
    # Ranked: hit, false, hit: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1. Area: 1/2 * 1 + 1/2 * 2/3.
    predicted = [[Box("fox", 0.9, AT_0), Box("fox", 0.8, AT_20)], [Box("fox", 0.7, AT_20)]]
    assert average_precision(predicted, truth, "fox") == pytest.approx(1 / 2 + 1 / 3)


def test_a_second_box_on_one_animal_is_false() -> None:
    truth = [[TruthBox("fox", AT_0)], [TruthBox("fox", AT_0)]]
    predicted = [[Box("fox", 0.9, AT_0), Box("fox", 0.8, AT_0)], [Box("fox", 0.7, AT_0)]]
    assert average_precision(predicted, truth, "fox") == pytest.approx(1 / 2 + 1 / 3)


def test_classes_without_truth_are_left_out_of_the_mean() -> None:
    truth = [[TruthBox("fox", AT_0)]]
    found = mean_average_precision([[Box("fox", 0.9, AT_0), Box("hare", 0.9, AT_20)]], truth, ["fox", "hare"])
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


GROUPS = {"deer": "large", "hare": "small"}


@pytest.mark.parametrize(
    ("global_boxes", "experts", "label"),
    [
        ([], {"large": [], "small": []}, "blank"),
        # The class seen picks the expert, and the expert's answer stands.
        ([Box("deer", 0.9, AT_0)], {"large": [Box("deer", 0.8, AT_0)], "small": [Box("hare", 0.99, AT_0)]}, "deer"),
        # Background: all look, the most confident wins, from the background threshold on.
        ([Box("deer", 0.1, AT_0)], {"large": [Box("deer", 0.6, AT_0)], "small": [Box("hare", 0.7, AT_0)]}, "hare"),
        ([], {"large": [Box("deer", 0.45, AT_0)], "small": []}, "blank"),
        # A silent expert: the global answer stands.
        ([Box("deer", 0.9, AT_0)], {"large": [], "small": []}, "deer"),
        # A species in no group needs no expert; people are never routed, and are no background either.
        ([Box("bird", 0.9, AT_0)], {"large": [], "small": []}, "bird"),
        ([Box("person", 0.9, AT_0)], {"large": [Box("deer", 0.9, AT_0)], "small": []}, "person"),
        ([Box("person", 0.9, AT_0), Box("hare", 0.4, AT_20)], {"small": [Box("hare", 0.5, AT_20)]}, "hare"),
    ],
)
def test_routing_at_image_level(global_boxes: list[Box], experts: dict[str, list[Box]], label: str) -> None:
    assert two_stage_label(global_boxes, experts, GROUPS, floor=0.3, background=0.5) == label


def test_one_stage_prefers_animals_to_people() -> None:
    assert one_stage_label([Box("person", 0.9, AT_0), Box("deer", 0.4, AT_20)], 0.3) == "deer"
    assert one_stage_label([Box("person", 0.9, AT_0), Box("deer", 0.2, AT_20)], 0.3) == "person"
    assert one_stage_label([], 0.3) == "blank"
