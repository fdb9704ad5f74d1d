"""One test per line of the routing rule (module docstring of `varanger.common.answering.routing`)."""

import pytest

from varanger.common.answering.answer import decide
from varanger.common.answering.routing import plan, plan_again
from varanger.common.answering.stages import StageAnswer
from varanger.common.releases import ReleaseManifest, RoutingRule, StageModel
from varanger.common.words import Detection, Observation, Prediction

GROUPS = {
    "red_deer": "large",
    "fallow_deer": "large",
    "hare": "small",
    "rabbit": "small",
    "mouse": "micro",
}
PLACE = (0.1, 0.1, 0.2, 0.2)
NEARLY = (0.11, 0.11, 0.2, 0.2)
ELSEWHERE = (0.6, 0.6, 0.2, 0.2)
THIRD = (0.1, 0.6, 0.2, 0.2)


def manifest(**rule: object) -> ReleaseManifest:
    def stage(number: int, *classes: str) -> StageModel:
        return StageModel(sha256=f"{number:064x}", bytes=1, classes=classes, input_size=640)

    return ReleaseManifest(
        name="test",
        kind="two_stage",
        description="",
        licence="Apache-2.0",
        stages={
            "global": stage(0, *GROUPS, "bird", "person", "vehicle"),
            "expert:large": stage(1, "red_deer", "fallow_deer"),
            "expert:small": stage(2, "hare", "rabbit"),
            "expert:micro": stage(3, "mouse"),
        },
        routing=RoutingRule.model_validate({"groups": GROUPS, **rule}),
    )


def answer(stage: str, *boxes: tuple[str, float, tuple[float, float, float, float]]) -> dict[str, StageAnswer]:
    detections = tuple(Detection(stage=stage, label=name, confidence=c, bbox=place) for name, c, place in boxes)
    scores: dict[str, float] = {}
    for name, confidence, _ in boxes:
        scores[name] = max(confidence, scores.get(name, 0.0))
    return {stage: StageAnswer(detections, scores)}


def seen(*boxes: tuple[str, float, tuple[float, float, float, float]]) -> list[Detection]:
    return list(answer("global", *boxes)["global"].detections)


def counts(prediction: Prediction) -> dict[str, int]:
    return {one.taxon: one.count for one in prediction.observations}


# --- which experts look


def test_the_class_seen_picks_the_group() -> None:
    assert plan(seen(("hare", 0.85, PLACE)), manifest().routing) == {"small"}


def test_every_class_seen_picks_its_group() -> None:
    boxes = seen(("hare", 0.85, PLACE), ("red_deer", 0.3, ELSEWHERE))
    assert plan(boxes, manifest().routing) == {"small", "large"}


def test_a_box_below_the_floor_picks_nothing() -> None:
    boxes = seen(("hare", 0.85, PLACE), ("red_deer", 0.2, ELSEWHERE))
    assert plan(boxes, manifest().routing) == {"small"}


@pytest.mark.parametrize("boxes", [[], [("hare", 0.249, PLACE)]])
def test_background_goes_to_all(boxes: list[tuple[str, float, tuple[float, float, float, float]]]) -> None:
    assert plan(seen(*boxes), manifest().routing) == {"large", "small", "micro"}


@pytest.mark.parametrize("label", ["person", "vehicle", "bird"])
def test_what_stands_in_no_group_asks_nobody(label: str) -> None:
    assert plan(seen((label, 0.9, PLACE)), manifest().routing) == frozenset()


def test_an_animal_beside_a_person_is_routed() -> None:
    assert plan(seen(("person", 0.9, PLACE), ("mouse", 0.4, ELSEWHERE)), manifest().routing) == {"micro"}


# --- scenario A: the routed expert answers


def test_scenario_a_the_expert_gives_the_final_answer() -> None:
    stages = answer("global", ("hare", 0.85, PLACE)) | answer("expert:small", ("rabbit", 0.96, NEARLY))
    prediction = decide(stages, manifest(), code_version="7")
    assert (prediction.label, prediction.confidence) == ("rabbit", 0.96)
    assert prediction.route == "global>expert:small"
    assert prediction.observations == (Observation(taxon="rabbit", count=1),)
    assert prediction.flags == ("stages_disagree",)
    assert [box.stage for box in prediction.detections] == ["global", "expert:small"]
    assert prediction.scores == {"global": {"hare": 0.85}, "expert:small": {"rabbit": 0.96}}
    assert prediction.models == {"global": f"{0:064x}", "expert:small": f"{2:064x}"}
    assert prediction.code_version == "7"


def test_an_expert_that_agrees_raises_no_flag() -> None:
    stages = answer("global", ("hare", 0.85, PLACE)) | answer("expert:small", ("hare", 0.5, NEARLY))
    prediction = decide(stages, manifest())
    assert (prediction.label, prediction.confidence, prediction.flags) == ("hare", 0.5, ())


def test_several_animals_of_several_groups_each_go_to_their_own_expert() -> None:
    stages = (
        answer("global", ("hare", 0.8, PLACE), ("red_deer", 0.7, ELSEWHERE), ("red_deer", 0.6, THIRD))
        | answer("expert:small", ("rabbit", 0.6, NEARLY))
        | answer("expert:large", ("red_deer", 0.9, ELSEWHERE), ("fallow_deer", 0.8, THIRD))
    )
    prediction = decide(stages, manifest())
    assert counts(prediction) == {"rabbit": 1, "red_deer": 1, "fallow_deer": 1}
    assert prediction.label == "red_deer"
    assert prediction.route == "global>expert:large+expert:small"


def test_two_animals_of_one_species_count_twice() -> None:
    stages = answer("global", ("hare", 0.8, PLACE), ("hare", 0.7, ELSEWHERE)) | answer(
        "expert:small", ("hare", 0.9, ELSEWHERE), ("hare", 0.8, PLACE)
    )
    assert counts(decide(stages, manifest())) == {"hare": 2}


def test_an_expert_is_not_heard_about_another_groups_animal() -> None:
    stages = (
        answer("global", ("hare", 0.8, PLACE), ("red_deer", 0.7, ELSEWHERE))
        | answer("expert:small", ("hare", 0.9, PLACE), ("rabbit", 0.99, ELSEWHERE))
        | answer("expert:large", ("red_deer", 0.6, ELSEWHERE))
    )
    prediction = decide(stages, manifest())
    assert counts(prediction) == {"hare": 1, "red_deer": 1}
    assert len(prediction.detections) == 5


def test_one_animal_under_two_names_counts_once_and_the_surer_expert_names_it() -> None:
    stages = (
        answer("global", ("hare", 0.5, PLACE), ("red_deer", 0.4, NEARLY))
        | answer("expert:small", ("hare", 0.4, PLACE))
        | answer("expert:large", ("fallow_deer", 0.9, PLACE))
    )
    assert counts(decide(stages, manifest())) == {"fallow_deer": 1}


def test_the_matching_threshold_is_the_releases() -> None:
    stages = answer("global", ("hare", 0.8, PLACE)) | answer("expert:small", ("rabbit", 0.9, (0.22, 0.1, 0.2, 0.2)))
    apart = decide(stages, manifest(match_iou=0.5))
    together = decide(stages, manifest(match_iou=0.2))
    assert counts(apart) == {"hare": 1, "rabbit": 1}
    assert set(apart.flags) == {"expert_silent", "expert_only"}
    assert counts(together) == {"rabbit": 1}


def test_a_small_animal_drawn_loosely_counts_once() -> None:
    stages = answer("global", ("mouse", 0.8, (0.5, 0.5, 0.02, 0.02))) | answer(
        "expert:micro", ("mouse", 0.9, (0.497, 0.497, 0.03, 0.03))
    )
    prediction = decide(stages, manifest())
    assert counts(prediction) == {"mouse": 1}
    assert prediction.flags == ("boxes_disagree",)


# --- the routed expert is silent


def test_a_silent_expert_leaves_the_global_answer_flagged() -> None:
    stages = answer("global", ("hare", 0.8, PLACE)) | answer("expert:small", ("rabbit", 0.2, PLACE))
    prediction = decide(stages, manifest())
    assert (prediction.label, prediction.confidence, prediction.flags) == ("hare", 0.8, ("expert_silent",))


def test_a_silent_expert_can_be_final() -> None:
    stages = answer("global", ("hare", 0.8, PLACE)) | answer("expert:small")
    prediction = decide(stages, manifest(expert_silent="final"))
    assert (prediction.label, prediction.confidence) == ("blank", 0.2)
    assert prediction.flags == ("expert_silent",)


def test_a_silent_expert_can_send_the_image_to_all() -> None:
    rule = manifest(expert_silent="all_experts")
    stages = answer("global", ("hare", 0.8, PLACE)) | answer("expert:small")
    assert plan_again(stages, rule.routing) == {"large", "micro"}
    stages |= answer("expert:large") | answer("expert:micro", ("mouse", 0.7, NEARLY))
    prediction = decide(stages, rule)
    assert (prediction.label, prediction.confidence) == ("mouse", 0.7)
    assert prediction.route == "global>expert:small>all_experts"
    assert prediction.flags == ("expert_silent", "stages_disagree")


def test_all_asked_and_all_silent_is_blank() -> None:
    stages = answer("global", ("hare", 0.8, PLACE)) | answer("expert:small")
    stages |= answer("expert:large") | answer("expert:micro")
    assert decide(stages, manifest(expert_silent="all_experts")).label == "blank"


def test_all_asked_and_one_sees_an_animal_elsewhere() -> None:
    stages = answer("global", ("hare", 0.8, PLACE)) | answer("expert:small")
    stages |= answer("expert:large", ("red_deer", 0.6, ELSEWHERE)) | answer("expert:micro")
    assert counts(decide(stages, manifest(expert_silent="all_experts"))) == {"red_deer": 1}


@pytest.mark.parametrize("policy", ["global", "final"])
def test_nobody_is_asked_again_under_the_other_policies(policy: str) -> None:
    stages = answer("global", ("hare", 0.8, PLACE)) | answer("expert:small")
    assert plan_again(stages, manifest(expert_silent=policy).routing) == frozenset()


def test_nobody_is_asked_again_when_the_expert_answers() -> None:
    stages = answer("global", ("hare", 0.8, PLACE)) | answer("expert:small", ("hare", 0.8, PLACE))
    assert plan_again(stages, manifest(expert_silent="all_experts").routing) == frozenset()


# --- scenario B: background


def test_scenario_b_the_most_confident_expert_wins() -> None:
    stages = (
        answer("global")
        | answer("expert:large", ("red_deer", 0.55, PLACE))
        | answer("expert:small", ("hare", 0.5, PLACE))
        | answer("expert:micro", ("mouse", 0.91, PLACE), ("mouse", 0.3, ELSEWHERE))
    )
    prediction = decide(stages, manifest())
    assert (prediction.label, prediction.confidence) == ("mouse", 0.91)
    assert prediction.route == "global>all_experts"
    assert counts(prediction) == {"mouse": 2}
    assert prediction.flags == ("experts_disagree",)


def test_blank_stands_when_no_expert_sees_anything() -> None:
    stages = answer("global", ("hare", 0.1, PLACE)) | answer("expert:large") | answer("expert:micro")
    stages |= answer("expert:small", ("rabbit", 0.2, PLACE))
    prediction = decide(stages, manifest())
    assert (prediction.label, prediction.confidence) == ("blank", 0.8)
    assert prediction.observations == ()
    assert [box.confidence for box in prediction.detections] == [0.1, 0.2]


def test_a_background_threshold_above_the_floor_keeps_wrong_experts_out() -> None:
    stages = answer("global") | answer("expert:large", ("red_deer", 0.55, PLACE))
    stages |= answer("expert:small") | answer("expert:micro")
    assert decide(stages, manifest()).label == "red_deer"
    prediction = decide(stages, manifest(background_threshold=0.6))
    assert (prediction.label, prediction.confidence) == ("blank", 0.45)


def test_a_blanks_confidence_knows_scores_without_boxes() -> None:
    stages = {
        "global": StageAnswer((), {"hare": 0.07, "person": 0.2}),
        "expert:large": StageAnswer((), {"red_deer": 0.15}),
        "expert:small": StageAnswer(),
        "expert:micro": StageAnswer(),
    }
    assert decide(stages, manifest()).confidence == 0.85


def test_what_only_an_asked_expert_sees_counts_too() -> None:
    stages = answer("global", ("hare", 0.8, PLACE)) | answer(
        "expert:small", ("hare", 0.9, PLACE), ("rabbit", 0.7, ELSEWHERE)
    )
    prediction = decide(stages, manifest())
    assert counts(prediction) == {"hare": 1, "rabbit": 1}
    assert prediction.flags == ("expert_only",)
    assert counts(decide(stages, manifest(background_threshold=0.75))) == {"hare": 1}


def test_what_two_experts_alone_see_at_one_place_is_one_animal() -> None:
    stages = (
        answer("global", ("hare", 0.8, PLACE), ("mouse", 0.8, THIRD))
        | answer("expert:small", ("hare", 0.9, PLACE), ("rabbit", 0.5, ELSEWHERE))
        | answer("expert:micro", ("mouse", 0.9, THIRD), ("mouse", 0.6, ELSEWHERE))
    )
    assert counts(decide(stages, manifest())) == {"hare": 1, "mouse": 2}


# --- people and vehicles


def test_a_person_alone_is_the_answer_and_private() -> None:
    prediction = decide(answer("global", ("person", 0.9, PLACE)), manifest())
    assert (prediction.label, prediction.route, prediction.private) == ("person", "global", True)
    assert counts(prediction) == {"person": 1}


def test_an_animal_beside_a_person_gives_the_label_and_stays_private() -> None:
    stages = answer("global", ("person", 0.99, PLACE), ("hare", 0.5, ELSEWHERE))
    stages |= answer("expert:small", ("hare", 0.6, ELSEWHERE), ("rabbit", 0.9, PLACE))
    prediction = decide(stages, manifest())
    assert (prediction.label, prediction.private) == ("hare", True)
    assert counts(prediction) == {"person": 1, "hare": 1}


def test_a_person_on_a_horse_hides_neither() -> None:
    stages = answer("global", ("person", 0.9, PLACE), ("red_deer", 0.8, NEARLY))
    stages |= answer("expert:large", ("red_deer", 0.7, NEARLY))
    assert counts(decide(stages, manifest())) == {"person": 1, "red_deer": 1}


def test_a_faint_person_is_not_private() -> None:
    stages = answer("global", ("person", 0.2, PLACE), ("hare", 0.8, ELSEWHERE))
    stages |= answer("expert:small", ("hare", 0.8, ELSEWHERE))
    assert not decide(stages, manifest()).private


def test_an_animal_in_no_group_keeps_the_global_answer() -> None:
    prediction = decide(answer("global", ("bird", 0.9, PLACE)), manifest())
    assert (prediction.label, prediction.route, prediction.flags) == ("bird", "global", ())


# --- what must not happen


def test_a_missing_expert_is_a_fault() -> None:
    with pytest.raises(ValueError, match="small"):
        decide(answer("global", ("hare", 0.9, PLACE)), manifest())


def test_a_release_without_groups_answers_by_its_global_stage() -> None:
    release = manifest().model_copy(update={"routing": RoutingRule()})
    assert decide(answer("global"), release).route == "global"
    assert decide(answer("global", ("hare", 0.9, PLACE)), release).label == "hare"
