"""Which prediction a media shows: the one by the release put in force last, of those that answered it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class Answered(Protocol):
    """What is needed of a prediction row."""

    release_id: str
    purpose: str
    state: str


@dataclass(frozen=True)
class Beats:
    """Success beats failure; a higher attempt beats a lower one. The order of arrival never matters."""

    classified: bool
    attempt: int

    def over(self, other: "Beats") -> bool:
        """Whether this answer replaces the other."""
        return (self.classified, self.attempt) > (other.classified, other.attempt)


def shown_prediction(rows: Sequence[Answered], promoted_at: Mapping[str, str]) -> Answered | None:
    """The row shown; None where nothing answered. `promoted_at` maps release to the sort key of its last promotion.

    A shadow release never shows; a release never put in force shows only where no other answered.
    """
    answered = [row for row in rows if row.state == "classified" and row.purpose != "shadow"]
    return max(answered, key=lambda row: (promoted_at.get(row.release_id, ""), row.release_id), default=None)
