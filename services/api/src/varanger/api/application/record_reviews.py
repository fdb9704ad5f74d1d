"""Record what people saw. Reviews are append-only: a person's newer answer is another row, and stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from varanger.api import PRODUCER, SERVICE
from varanger.api.adapters import job_rows, media_rows
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.history import remember
from varanger.common.catalog.outbox import send
from varanger.common.catalog.tables import Review
from varanger.common.errors import VarangerError
from varanger.common.messages import Envelope, ReviewRecorded
from varanger.common.words import PRIVATE_LABELS, ImageQuality, ReviewObservation


class ReviewRefused(VarangerError):
    """A review that cannot be recorded; the text names the field, `index` which of those sent."""

    def __init__(self, index: int, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.index = index
        self.field = field
        self.problem = problem


@dataclass(frozen=True)
class GivenReview:
    """One person's answer for one media. No observation and good quality: they saw nothing there."""

    media_id: UUID
    observer: str
    observations: tuple[ReviewObservation, ...]
    image_quality: ImageQuality
    rank: str
    round_id: UUID | None
    comment: str


async def record_reviews(
    session: WriteSession, project_id: str, given: Sequence[GivenReview], *, by: str, traceparent: str
) -> list[Review]:
    """Write all of them, with a message and a line of history each, or none.

    Raises:
        ReviewRefused: a media that the project does not have, or that the round did not draw.
    """
    await _check(session, project_id, given)
    rows = [_row(project_id, each) for each in given]
    session.add_all(rows)
    for row in rows:
        fact = ReviewRecorded(review_id=row.review_id, media_id=row.media_id, round_id=row.round_id)
        send(
            session,
            SERVICE,
            [Envelope.wrap(fact, project_id=project_id, producer=PRODUCER, traceparent=traceparent)],
        )
        remember(
            session,
            project_id,
            row.media_id,
            "reviewed",
            by,
            review_id=str(row.review_id),
            observer=row.observer,
            observations=row.observations,
            image_quality=row.image_quality,
        )
    await media_rows.make_private(session, [row.media_id for row in rows if _shows_people(row)])
    return rows


async def _check(session: WriteSession, project_id: str, given: Sequence[GivenReview]) -> None:
    known = await job_rows.media_of_project(session, project_id, {each.media_id for each in given})
    pairs = {(each.round_id, each.media_id) for each in given if each.round_id is not None}
    drawn = await job_rows.tasks_drawn(session, project_id, pairs) if pairs else set()
    for index, each in enumerate(given):
        if each.media_id not in known:
            raise ReviewRefused(index, "media_id", f"project {project_id!r} has no media {each.media_id}")
        if each.round_id is not None and (each.round_id, each.media_id) not in drawn:
            raise ReviewRefused(index, "round_id", f"round {each.round_id} did not draw media {each.media_id}")


def _row(project_id: str, given: GivenReview) -> Review:
    return Review(
        project_id=project_id,
        media_id=given.media_id,
        round_id=given.round_id,
        rank=given.rank,
        observer=given.observer,
        observations=[each.model_dump(mode="json") for each in given.observations],
        image_quality=given.image_quality,
        comment=given.comment,
    )


def _shows_people(row: Review) -> bool:
    """From the moment somebody says so it is private, whatever the machine said; nothing makes it public again."""
    return any(each["taxon"] in PRIVATE_LABELS for each in row.observations)
