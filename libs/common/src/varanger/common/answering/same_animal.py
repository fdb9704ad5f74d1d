"""Which boxes show the same animal: within one stage, and between two.

Both papers answer per image and need no such rule; counting animals does. `match_iou` of the release is the measure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from varanger.common.answering.boxes import overlap, share_their_centres
from varanger.common.answering.stages import is_animal
from varanger.common.words import Detection


@dataclass(frozen=True)
class Sighting:
    """One animal, person or vehicle as one stage sees it: its box, and every name the stage gave to this place."""

    box: Detection
    labels: frozenset[str]


def sightings(boxes: Sequence[Detection], match_iou: float) -> tuple[Sighting, ...]:
    """Boxes of one stage, in the fixed order, as animals.

    Non-maximum suppression works class by class, so a doubtful animal leaves two boxes under two names: one animal,
    named by the more confident. Two boxes of one name are two animals (suppression has judged them already), and a
    person never hides an animal nor an animal a person.
    """
    kept: list[Sighting] = []
    for box in boxes:
        for index, one in enumerate(kept):
            if _second_name(one.box, box, match_iou):
                kept[index] = Sighting(one.box, one.labels | {box.label})
                break
        else:
            kept.append(Sighting(box, frozenset({box.label})))
    return tuple(kept)


def _second_name(first: Detection, second: Detection, match_iou: float) -> bool:
    if first.label == second.label or is_animal(first.label) != is_animal(second.label):
        return False
    return same_place(first, second, match_iou)


def same_place(a: Detection, b: Detection, match_iou: float) -> bool:
    """Whether two boxes overlap enough to show the same animal; boxes apart never do, whatever the release asks."""
    return _enough(overlap(a.bbox, b.bbox), match_iou)


def _enough(iou: float, match_iou: float) -> bool:
    return iou > 0 and iou >= match_iou


@dataclass(frozen=True)
class Pairs:
    """`partner[i] = j`: box j of the second stage shows the animal of box i of the first."""

    partner: dict[int, int]
    loose: frozenset[int]
    """Those i that were paired by their centres, below `match_iou`."""


def pair(first: Sequence[Detection], second: Sequence[Detection], match_iou: float) -> Pairs:
    """Pair two stages' boxes one to one, best overlap first; equal overlaps by the order they come in.

    What is left over on both sides and holds one another's centre is paired too, and said to be loose: a small
    animal's two boxes soon overlap by less than half, and would be counted twice.
    """
    overlaps = sorted(
        (-overlap(one.bbox, other.bbox), i, j) for i, one in enumerate(first) for j, other in enumerate(second)
    )
    partner: dict[int, int] = {}
    taken: set[int] = set()
    loose: set[int] = set()
    for strict in (True, False):
        for negative, i, j in overlaps:
            if i in partner or j in taken:
                continue
            if strict and not _enough(-negative, match_iou):
                continue
            if not strict and not share_their_centres(first[i].bbox, second[j].bbox):
                continue
            partner[i] = j
            taken.add(j)
            if not strict:
                loose.add(i)
    return Pairs(partner, frozenset(loose))
