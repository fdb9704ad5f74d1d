"""The routing rule under any input: order never matters, every count adds up, every answer has a confidence."""

import random

from hypothesis import given
from hypothesis import strategies as st

from varanger.common.answering.answer import decide
from varanger.common.answering.routing import plan, plan_again
from varanger.common.answering.stages import StageAnswer
from varanger.common.releases import ReleaseManifest, RoutingRule, StageModel
from varanger.common.words import Detection, Prediction

GROUPS = {"red_deer": "large", "fallow_deer": "large", "hare": "small", "rabbit": "small", "mouse": "micro"}
CLASSES = {
    "global": [*GROUPS, "bird", "person", "vehicle"],
    "expert:large": ["red_deer", "fallow_deer"],
    "expert:small": ["hare", "rabbit"],
    "expert:micro": ["mouse"],
}


def manifest(**rule: object) -> ReleaseManifest:
    return ReleaseManifest(
        name="test",
        kind="two_stage",
        description="",
        licence="Apache-2.0",
        stages={
            stage: StageModel(sha256=f"{number:064x}", bytes=1, classes=tuple(classes), input_size=640)
            for number, (stage, classes) in enumerate(CLASSES.items())
        },
        routing=RoutingRule.model_validate({"groups": GROUPS, **rule}),
    )


# Few values, so that ties and overlaps are the rule and not the exception.
SHARES = st.sampled_from([0.1, 0.12, 0.15, 0.3, 0.5])
SIDES = st.sampled_from([0.02, 0.2, 0.25, 0.4])
CONFIDENCES = st.sampled_from([0.05, 0.25, 0.3, 0.5, 0.5, 0.9, 1.0])


def boxes(stage: str) -> st.SearchStrategy[list[Detection]]:
    one = st.builds(
        lambda label, confidence, x, y, w, h: Detection(
            stage=stage, label=label, confidence=confidence, bbox=(x, y, w, h)
        ),
        st.sampled_from(CLASSES[stage]),
        CONFIDENCES,
        SHARES,
        SHARES,
        SIDES,
        SIDES,
    )
    return st.lists(one, max_size=5)


IMAGES = st.fixed_dictionaries({stage: boxes(stage) for stage in CLASSES})
RULES = st.fixed_dictionaries(
    {
        "expert_silent": st.sampled_from(["global", "final", "all_experts"]),
        "background_threshold": st.sampled_from([None, 0.1, 0.6]),
        "match_iou": st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    }
)


def stage_answer(detections: list[Detection]) -> StageAnswer:
    scores: dict[str, float] = {}
    for box in detections:
        scores[box.label] = max(box.confidence, scores.get(box.label, 0.0))
    return StageAnswer(tuple(detections), scores)


def answered(image: dict[str, list[Detection]], rule: dict[str, object]) -> Prediction:
    """As a worker does it: global, the planned experts, the further ones."""
    release = manifest(**rule)
    stages = {"global": stage_answer(image["global"])}
    for group in plan(image["global"], release.routing):
        stages[f"expert:{group}"] = stage_answer(image[f"expert:{group}"])
    for group in plan_again(stages, release.routing):
        stages[f"expert:{group}"] = stage_answer(image[f"expert:{group}"])
    return decide(stages, release)


@given(IMAGES, RULES, st.randoms(use_true_random=False))
def test_no_order_matters(image: dict[str, list[Detection]], rule: dict[str, object], shuffle: random.Random) -> None:
    other = {stage: shuffle.sample(found, len(found)) for stage, found in sorted(image.items(), reverse=True)}
    assert answered(image, rule) == answered(other, rule)


@given(IMAGES, RULES)
def test_the_answer_holds_together(image: dict[str, list[Detection]], rule: dict[str, object]) -> None:
    prediction = answered(image, rule)
    taxa = {one.taxon for one in prediction.observations}
    assert (prediction.label == "blank") == (not taxa)
    assert taxa == set() or prediction.label in taxa
    assert 0.0 <= prediction.confidence <= 1.0
    seen = [box for box in prediction.detections if box.confidence >= 0.25]
    assert sum(one.count for one in prediction.observations) <= len(seen)
    assert prediction.private == any(box.label in ("person", "vehicle") for box in seen)


@given(IMAGES, RULES)
def test_people_are_never_lost(image: dict[str, list[Detection]], rule: dict[str, object]) -> None:
    people = [box for box in image["global"] if box.label == "person" and box.confidence >= 0.25]
    counted = {one.taxon: one.count for one in answered(image, rule).observations}
    if not any(box.label == "vehicle" for box in image["global"]):
        assert counted.get("person", 0) == len(people)


@given(IMAGES)
def test_by_default_what_the_global_model_saw_is_never_called_blank(image: dict[str, list[Detection]]) -> None:
    if any(box.confidence >= 0.25 for box in image["global"]):
        assert answered(image, {}).label != "blank"
