"""From an outcome to the prediction that is stored: label, calibrated confidence, observations, every stage's boxes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from varanger.common.answering.routing import route
from varanger.common.answering.stages import StageAnswer, is_animal, ordered
from varanger.common.releases import CLASSIFIER, ReleaseManifest
from varanger.common.words import BAD_QUALITY, BLANK, PRIVATE_LABELS, Detection, Observation, Prediction

KEPT_FROM = 0.1
"""Boxes below the detection floor are kept down to here, so that a person can lower the threshold afterwards."""
DECIMALS = 6


def keep_from(manifest: ReleaseManifest) -> float:
    """The calibrated confidence from which a box is stored."""
    return min(KEPT_FROM, manifest.routing.detection_floor)


def decide(stages: Mapping[str, StageAnswer], manifest: ReleaseManifest, *, code_version: str = "") -> Prediction:
    """One prediction from the answers of all stages run, whatever the release's kind.

    Raises:
        ValueError: a stage that the routing rule asks for has not answered.
    """
    if manifest.kind == CLASSIFIER:
        decided = _decide_classifier(stages[CLASSIFIER], manifest)
    else:
        decided = _decide_two_stage(stages, manifest)
    return decided.model_copy(
        update={
            "scores": {name: _rounded(stages[name].scores) for name in sorted(stages)},
            "image_seen": manifest.image,
            "models": {name: manifest.stages[name].sha256 for name in sorted(stages)},
            "code_version": code_version,
        }
    )


def _decide_two_stage(stages: Mapping[str, StageAnswer], manifest: ReleaseManifest) -> Prediction:
    floor = manifest.routing.detection_floor
    outcome = route(stages, manifest.routing)
    best = naming_box(outcome.final)
    label = best.label if best else BLANK
    confidence = best.confidence if best else 1.0 - _highest_animal_score(stages)
    counts = Counter(box.label for box in outcome.final)
    boxes = ordered(box for answer in stages.values() for box in answer.detections)
    return Prediction(
        label=label,
        confidence=round(confidence, DECIMALS),
        route=outcome.route,
        observations=tuple(Observation(taxon=taxon, count=count) for taxon, count in sorted(counts.items())),
        detections=tuple(box for box in boxes if box.confidence >= keep_from(manifest)),
        flags=tuple(sorted(outcome.flags)),
        private=_shows_people(boxes, floor),
    )


def naming_box(final: Sequence[Detection]) -> Detection | None:
    """The box that names the image: the most confident animal's, else that of a person or vehicle; None: blank."""
    animals = [box for box in final if is_animal(box.label)]
    return min(animals or final, key=lambda box: (-box.confidence, box.label), default=None)


def final_boxes(prediction: Prediction, manifest: ReleaseManifest) -> tuple[Detection, ...]:
    """The boxes that make the observations, one each, found again by the rule in what the prediction keeps."""
    if manifest.kind == CLASSIFIER:
        return ()
    stages = {
        stage: StageAnswer(tuple(box for box in prediction.detections if box.stage == stage))
        for stage in prediction.models
    }
    return ordered(route(stages, manifest.routing).final)


def _highest_animal_score(stages: Mapping[str, StageAnswer]) -> float:
    """Over all stages run, below the detection floor too: the models give a score per class even without a box."""
    return max(
        (
            *(score for answer in stages.values() for name, score in answer.scores.items() if is_animal(name)),
            *(box.confidence for answer in stages.values() for box in answer.detections if is_animal(box.label)),
        ),
        default=0.0,
    )


def _shows_people(boxes: Iterable[Detection], floor: float) -> bool:
    """Any stage's word is enough, also where another stage overrules it: privacy is not put to a vote."""
    return any(box.label in PRIVATE_LABELS and box.confidence >= floor for box in boxes)


def _decide_classifier(answer: StageAnswer, manifest: ReleaseManifest) -> Prediction:
    """The whole-image softmax of Böhner 2023: the likeliest class, `empty` being our `blank`."""
    name, confidence = min(answer.scores.items(), key=lambda item: (-item[1], item[0]))
    label = _classifier_word(name, manifest.routing.blank_classes)
    nothing_to_count = label in (BLANK, BAD_QUALITY)
    return Prediction(
        label=label,
        confidence=round(confidence, DECIMALS),
        route=CLASSIFIER,
        observations=() if nothing_to_count else (Observation(taxon=label, count=1),),
        private=label in PRIVATE_LABELS,
    )


def _classifier_word(name: str, blank_classes: tuple[str, ...]) -> str:
    if name in blank_classes:
        return BLANK
    return BAD_QUALITY if name.replace(" ", "_") == BAD_QUALITY else name


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(score, DECIMALS) for name, score in sorted(scores.items())}
