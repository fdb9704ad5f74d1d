"""One label per image from stage outputs, for measuring a release before anyone uses it.

The rule is DESIGN section 5 at image level; the inference service answers with every box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from varanger.common.words import BLANK, PRIVATE_LABELS


@dataclass(frozen=True, slots=True)
class Box:
    """One box of one stage, its confidence calibrated; corners in input pixels."""

    label: str
    confidence: float
    corners: tuple[float, float, float, float]


StageBoxes = Mapping[str, Sequence[Box]]


def one_stage_label(boxes: Sequence[Box], floor: float) -> str:
    """Label by the global model alone: the most confident animal, else a person or vehicle, else blank."""
    seen = [box for box in boxes if box.confidence >= floor]
    animals = [box for box in seen if box.label not in PRIVATE_LABELS]
    chosen = max(animals or seen, key=lambda box: box.confidence, default=None)
    return chosen.label if chosen else BLANK


def two_stage_label(
    global_boxes: Sequence[Box], experts: StageBoxes, groups: Mapping[str, str], floor: float, background: float
) -> str:
    """Label by routing: the global class picks the expert; where the global model saw nothing all experts look.

    Args:
        global_boxes: of the global model, any confidence.
        experts: per group, of its expert.
        groups: species to group.
        floor: confidence from which a box counts.
        background: what an expert must reach to overrule a blank global answer.
    """
    seen = [box for box in global_boxes if box.confidence >= floor]
    animals = [box for box in seen if box.label not in PRIVATE_LABELS]
    if not seen:
        found = [box for boxes in experts.values() for box in boxes if box.confidence >= background]
        chosen = max(found, key=lambda box: box.confidence, default=None)
        return chosen.label if chosen else BLANK
    if not animals:
        return max(seen, key=lambda box: box.confidence).label
    final: list[Box] = []
    for group in {groups.get(box.label) for box in animals}:
        answer = [box for box in experts.get(group or "", ()) if box.confidence >= floor]
        # A silent expert, or a species without one: the global answer stands (the release's default).
        final += answer or [box for box in animals if groups.get(box.label) == group]
    return max(final, key=lambda box: box.confidence).label
