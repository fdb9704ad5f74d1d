"""The vote on background (Mulero-Pázmány 2025, Fig. 2 scenario B and "Challenge 1").

The global model saw nothing, so every expert looks. Experts often see *an* animal even when it is none of theirs, but
then "typically below 60 %": the one expert with the most confident box answers for the whole image. Where none
reaches the threshold, blank stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from varanger.common.answering.stages import is_animal
from varanger.common.words import Detection


@dataclass(frozen=True)
class Vote:
    """Who won, what it saw, and whether another expert would have said otherwise."""

    winner: str | None = None
    """The winning group, None where blank stands."""
    boxes: tuple[Detection, ...] = ()
    """The winner's boxes that reach the threshold, in the order given."""
    contested: bool = False
    """Another expert reached the threshold too, under another name."""


def vote(experts: Mapping[str, Sequence[Detection]], threshold: float) -> Vote:
    """Let the most confident expert answer; equal confidences go to the group first in the alphabet.

    Args:
        experts: per group, its expert's boxes in the fixed order (most confident first).
        threshold: the confidence an expert must reach to overrule the blank.
    """
    reaching = {
        group: tuple(box for box in boxes if is_animal(box.label) and box.confidence >= threshold)
        for group, boxes in experts.items()
    }
    standing = sorted((-boxes[0].confidence, group) for group, boxes in reaching.items() if boxes)
    if not standing:
        return Vote()
    winner = standing[0][1]
    name = reaching[winner][0].label
    contested = any(reaching[group][0].label != name for _, group in standing[1:])
    return Vote(winner, reaching[winner], contested)
