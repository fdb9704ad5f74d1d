"""The routing rule: which experts look at an image, and how their boxes and the global model's become one answer.

Mulero-Pázmány 2025, Fig. 2 (scenario A: the class seen picks the expert; scenario B: background goes to all), with
what docs/decisions/0009 adds so that every animal counts. The paper answers per image; here per animal:

1. Boxes from `detection_floor` on are *seen*. The classes seen choose the groups; each group's expert is asked once.
2. Nothing seen: all experts look, and vote (`background_vote.py`).
3. People, vehicles and every class in no group are never routed: an image with nothing else asks no expert. It is not
   background, and an expert, which has never seen a person, would call one an animal.
4. A global box and a box of its group's expert that show the same animal (`same_animal.py`) are one observation; the
   expert's name and confidence stand. Both boxes stay; another name is flagged `stages_disagree`, a box drawn very
   differently `boxes_disagree`. A place the global model named twice is answered by the most confident expert asked.
5. A global box its expert does not see follows `expert_silent`, and is flagged `expert_silent`.
6. What an asked expert sees where the global model saw nothing is a small background: it counts from
   `background_threshold` on, the most confident expert names it, and it is flagged `expert_only`. At a place the
   global model saw something, only the experts of that something's groups are heard.

Pure: no order of boxes or stages matters; equal confidences fall to the fixed order of `stages.ordered`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from varanger.common.answering.background_vote import vote
from varanger.common.answering.same_animal import Pairs, Sighting, pair, same_place, sightings
from varanger.common.answering.stages import StageAnswer, is_animal, ordered
from varanger.common.releases import GLOBAL, RoutingRule, expert_stage
from varanger.common.words import Detection

ALL_EXPERTS = "all_experts"
STAGES_DISAGREE = "stages_disagree"
BOXES_DISAGREE = "boxes_disagree"
EXPERT_SILENT = "expert_silent"
EXPERT_ONLY = "expert_only"
EXPERTS_DISAGREE = "experts_disagree"


@dataclass
class Outcome:
    """What the rule makes of one image: the way, the final boxes (one per animal, person, vehicle), what to review."""

    route: str
    final: list[Detection] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)


def plan(global_boxes: Iterable[Detection], rule: RoutingRule) -> frozenset[str]:
    """The groups whose experts must look, given the global model's boxes (any order, any confidence)."""
    seen = [box for box in global_boxes if box.confidence >= rule.detection_floor]
    if not seen:
        return frozenset(rule.groups.values())
    return frozenset(rule.groups[box.label] for box in seen if box.label in rule.groups)


def plan_again(stages: Mapping[str, StageAnswer], rule: RoutingRule) -> frozenset[str]:
    """The further groups to ask once the planned experts have answered: all others, where `expert_silent` says so."""
    if rule.expert_silent != ALL_EXPERTS:
        return frozenset()
    planned = plan(stages[GLOBAL].detections, rule)
    reading = _read(stages, rule, planned)
    silent = any(_is_silent(reading, index) for index in range(len(reading.animals)))
    return frozenset(rule.groups.values()) - planned if silent else frozenset()


def route(stages: Mapping[str, StageAnswer], rule: RoutingRule) -> Outcome:
    """Make one answer of the stages' answers.

    Raises:
        ValueError: an expert that `plan` or `plan_again` asks for has not answered.
    """
    planned = plan(stages[GLOBAL].detections, rule)
    further = plan_again(stages, rule) if all(expert_stage(group) in stages for group in planned) else frozenset()
    missing = sorted(group for group in planned | further if expert_stage(group) not in stages)
    if missing:
        raise ValueError(f"no answer from the experts {', '.join(missing)}")
    if not stages[GLOBAL].seen(rule.detection_floor):
        outcome = Outcome(f"{GLOBAL}>{ALL_EXPERTS}" if planned else GLOBAL)
        _vote_on_background(outcome, stages, rule)
        return outcome
    asked = "+".join(expert_stage(group) for group in sorted(planned))
    outcome = Outcome(">".join([GLOBAL, *([asked] if asked else []), *([ALL_EXPERTS] if further else [])]))
    reading = _read(stages, rule, planned)
    for index in sorted(range(len(reading.animals)), key=lambda index: (_is_silent(reading, index), index)):
        _settle(outcome, reading, index, stages, rule)
    _add_what_only_experts_see(outcome, reading, rule)
    if rule.expert_silent == ALL_EXPERTS and EXPERT_SILENT in outcome.flags and not outcome.final:
        _vote_on_background(outcome, stages, rule)
    return outcome


@dataclass(frozen=True)
class _Reading:
    """The global model's sightings beside those of each planned expert, paired."""

    animals: tuple[Sighting, ...]
    groups: tuple[frozenset[str], ...]
    """Per animal, the groups of the names the global model gave it; empty where it is not routed."""
    experts: dict[str, tuple[Sighting, ...]]
    pairs: dict[str, Pairs]
    """Per group, from the index of an animal to that of the expert's sighting."""

    def answers(self, index: int) -> list[tuple[str, Detection]]:
        """Per expert that sees this animal: group and box."""
        return [
            (group, self.experts[group][self.pairs[group].partner[index]].box)
            for group in sorted(self.groups[index])
            if index in self.pairs[group].partner
        ]


def _read(stages: Mapping[str, StageAnswer], rule: RoutingRule, planned: Iterable[str]) -> _Reading:
    animals = sightings(stages[GLOBAL].seen(rule.detection_floor), rule.match_iou)
    groups = tuple(frozenset(rule.groups[name] for name in animal.labels if name in rule.groups) for animal in animals)
    experts: dict[str, tuple[Sighting, ...]] = {}
    pairs: dict[str, Pairs] = {}
    for group in sorted(planned):
        experts[group] = sightings(stages[expert_stage(group)].seen(rule.detection_floor), rule.match_iou)
        own = [index for index, of in enumerate(groups) if group in of]
        found = pair(
            [animals[index].box for index in own], [sighting.box for sighting in experts[group]], rule.match_iou
        )
        pairs[group] = Pairs({own[i]: j for i, j in found.partner.items()}, frozenset(own[i] for i in found.loose))
    return _Reading(animals, groups, experts, pairs)


def _is_silent(reading: _Reading, index: int) -> bool:
    return bool(reading.groups[index]) and not reading.answers(index)


def _settle(
    outcome: Outcome, reading: _Reading, index: int, stages: Mapping[str, StageAnswer], rule: RoutingRule
) -> None:
    """Find the final box of one thing the global model saw."""
    box = reading.animals[index].box
    if not reading.groups[index]:
        outcome.final.append(box)
        return
    answers = reading.answers(index)
    if answers:
        group, final = min(answers, key=lambda answer: (-answer[1].confidence, answer[0]))
        outcome.final.append(final)
        if final.label != box.label:
            outcome.flags.add(STAGES_DISAGREE)
        if index in reading.pairs[group].loose:
            outcome.flags.add(BOXES_DISAGREE)
        return
    outcome.flags.add(EXPERT_SILENT)
    if rule.expert_silent == "global":
        outcome.final.append(box)
    elif rule.expert_silent == ALL_EXPERTS:
        others = [
            found
            for found in _expert_boxes(stages, rule)
            if found.confidence >= _threshold(rule)
            and same_place(box, found, rule.match_iou)
            and found not in outcome.final
        ]
        if others:
            outcome.final.append(others[0])
            if others[0].label != box.label:
                outcome.flags.add(STAGES_DISAGREE)


def _add_what_only_experts_see(outcome: Outcome, reading: _Reading, rule: RoutingRule) -> None:
    alone = [
        sighting.box
        for group, seen in reading.experts.items()
        for index, sighting in enumerate(seen)
        if index not in reading.pairs[group].partner.values()
    ]
    taken = [animal.box for animal in reading.animals] + outcome.final
    for box in _most_confident_first(alone):
        if not is_animal(box.label) or box.confidence < _threshold(rule):
            continue
        if any(same_place(box, other, rule.match_iou) for other in taken if other.stage != box.stage):
            continue
        outcome.final.append(box)
        outcome.flags.add(EXPERT_ONLY)
        taken.append(box)


def _vote_on_background(outcome: Outcome, stages: Mapping[str, StageAnswer], rule: RoutingRule) -> None:
    experts = {
        group: stages[expert_stage(group)].seen(rule.detection_floor) for group in sorted(set(rule.groups.values()))
    }
    result = vote(experts, _threshold(rule))
    outcome.final.extend(sighting.box for sighting in sightings(result.boxes, rule.match_iou))
    if result.contested:
        outcome.flags.add(EXPERTS_DISAGREE)


def _expert_boxes(stages: Mapping[str, StageAnswer], rule: RoutingRule) -> Sequence[Detection]:
    """Every animal an expert sees, most confident first."""
    return _most_confident_first(
        box
        for group in set(rule.groups.values())
        for box in stages[expert_stage(group)].seen(rule.detection_floor)
        if is_animal(box.label)
    )


def _most_confident_first(boxes: Iterable[Detection]) -> list[Detection]:
    return sorted(ordered(boxes), key=lambda box: -box.confidence)


def _threshold(rule: RoutingRule) -> float:
    """What overrules a blank; never below the floor, under which nothing is seen."""
    return max(rule.background_threshold or 0.0, rule.detection_floor)
