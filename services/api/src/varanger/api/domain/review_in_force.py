"""Whose answer is in force for a media: adjudicated review, else own, else imported, newest of its rank."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

RANKS = ("adjudicated", "own", "imported")
"""From the strongest on."""


class RankedReview(Protocol):
    """What is needed of a review to rank it."""

    @property
    def rank(self) -> str:
        """One of `RANKS`."""

    @property
    def reviewed_at(self) -> datetime:
        """Aware UTC."""

    @property
    def review_id(self) -> UUID:
        """UUIDv7: settles two of the same moment."""


R = TypeVar("R", bound=RankedReview)


def review_in_force(reviews: Iterable[R]) -> R | None:
    """The review that counts, or None where nobody looked."""
    return max(
        reviews,
        key=lambda review: (-RANKS.index(review.rank), review.reviewed_at, review.review_id),
        default=None,
    )
