"""Which prediction a media shows: of the releases that answered the whole of it, that of the one put in force last.

A video was asked about frame by frame, and shows the one frame that tells most: the most confident animal; without any
the most confident person or vehicle; else a frame that was too bad to see anything. It is blank only when every frame
is, and then as sure as its least sure frame, since a blank's confidence is 1 - the highest animal score.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from varanger.common.words import BAD_QUALITY, BLANK, PRIVATE_LABELS, Purpose


class Answered(Protocol):
    """What is needed of a prediction row."""

    release_id: str
    frame_number: int
    purpose: str
    state: str
    label: str | None
    confidence: float | None


@dataclass(frozen=True)
class Beats:
    """Success beats failure; a higher attempt beats a lower one. The order of arrival never matters."""

    classified: bool
    attempt: int

    def over(self, other: "Beats") -> bool:
        """Whether this answer replaces the other."""
        return (self.classified, self.attempt) > (other.classified, other.attempt)


def shown_prediction(
    rows: Iterable[Answered], promoted_at: Mapping[str, str], frames: Collection[int]
) -> Answered | None:
    """The row shown; None where no release answered every one of `frames`.

    `promoted_at` maps release to the sort key of its last promotion. A shadow release never shows; a release never put
    in force shows only where no other answered.
    """
    answered: dict[str, list[Answered]] = defaultdict(list)
    for row in rows:
        if row.state == "classified" and row.purpose != Purpose.SHADOW and row.frame_number in frames:
            answered[row.release_id].append(row)
    whole = [release for release, found in answered.items() if len(found) == len(frames)]
    shown = max(whole, key=lambda release: (promoted_at.get(release, ""), release), default=None)
    return None if shown is None else max(answered[shown], key=_telling)


def _telling(row: Answered) -> tuple[int, float, int]:
    """How much a frame tells of its video; of equal ones the first counts."""
    confidence = row.confidence or 0.0
    if row.label == BLANK:
        return 0, -confidence, -row.frame_number
    if row.label == BAD_QUALITY:
        return 1, confidence, -row.frame_number
    return 2 if row.label in PRIVATE_LABELS else 3, confidence, -row.frame_number
