"""Queries on media: pages of them, one with everything known of it, and how many there are of what."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select, tuple_, update
from sqlmodel import col

from varanger.common.catalog.database import ReadSession, WriteSession
from varanger.common.catalog.tables import (
    DeadLetterRow,
    Media,
    MediaHistory,
    PredictionRow,
    Quarantine,
    Review,
    Upload,
)
from varanger.common.words import MediaState

UploadedMedia = tuple[Upload, Media | None]
"""An accepted file, and the media it became, if it did."""


@dataclass(frozen=True)
class MediaFilter:
    """Which accepted files; None: all."""

    project_ids: Collection[str] | None = None
    deployment_id: str | None = None
    state: str | None = None
    label: str | None = None
    route: str | None = None
    release_id: str | None = None
    private: bool | None = None
    captured_from: datetime | None = None
    """The camera's own naive time, inclusive."""
    captured_to: datetime | None = None
    """Exclusive."""
    min_confidence: float | None = None
    max_confidence: float | None = None


async def page(
    session: ReadSession, wanted: MediaFilter, *, limit: int, after: UUID | None, newest_first: bool
) -> list[UploadedMedia]:
    """The next `limit` files after the one with id `after`, in order of their ids, which is the order of arrival."""
    key = col(Upload.media_id)
    query = _filtered(wanted).order_by(key.desc() if newest_first else key).limit(limit)
    if after is not None:
        query = query.where(key < after if newest_first else key > after)
    return [(row[0], row[1]) for row in await session.execute(query)]


def _filtered(wanted: MediaFilter) -> "Select[Upload, Media]":
    query = select(Upload, Media).outerjoin(Media, col(Media.media_id) == col(Upload.media_id))
    if wanted.project_ids is not None:
        query = query.where(col(Upload.project_id).in_(wanted.project_ids))
    if wanted.state is None:
        # Their entries are files of their own; so the list has as many as were received.
        query = query.where(col(Upload.state) != MediaState.UNPACKED)
    for column, value in (
        (col(Upload.deployment_id), wanted.deployment_id),
        (col(Upload.state), wanted.state),
        (col(Media.label), wanted.label),
        (col(Media.route), wanted.route),
        (col(Media.release_id), wanted.release_id),
        (col(Media.private), wanted.private),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.captured_from is not None:
        query = query.where(col(Media.captured_at) >= wanted.captured_from)
    if wanted.captured_to is not None:
        query = query.where(col(Media.captured_at) < wanted.captured_to)
    if wanted.min_confidence is not None:
        query = query.where(col(Media.confidence) >= wanted.min_confidence)
    if wanted.max_confidence is not None:
        query = query.where(col(Media.confidence) <= wanted.max_confidence)
    return query


async def find(session: ReadSession, media_id: UUID) -> UploadedMedia | None:
    """One accepted file, or None."""
    upload = await session.get(Upload, media_id)
    return None if upload is None else (upload, await session.get(Media, media_id))


async def shown_answers(session: ReadSession, media: Collection[Media]) -> dict[UUID, dict[str, Any]]:
    """The whole prediction that each media shows: `{media_id: Prediction as JSON}`; of a video the frame's it shows."""
    wanted = [(each.media_id, each.release_id) for each in media if each.release_id is not None]
    if not wanted:
        return {}
    found = await session.execute(
        select(col(PredictionRow.media_id), col(PredictionRow.answer))
        .join(
            Media,
            (col(Media.media_id) == col(PredictionRow.media_id))
            & (col(Media.label) == col(PredictionRow.label))
            & (col(Media.confidence) == col(PredictionRow.confidence)),
        )
        .where(
            tuple_(col(PredictionRow.media_id), col(PredictionRow.release_id)).in_(wanted),
            col(PredictionRow.answer).is_not(None),
        )
        .order_by(col(PredictionRow.frame_number).desc())  # of equal frames the first is shown, so it comes last
    )
    return {row.media_id: row.answer for row in found}


async def predictions(session: ReadSession, media_id: UUID) -> Sequence[PredictionRow]:
    """Every release's answer, oldest request first."""
    query = (
        select(PredictionRow)
        .where(col(PredictionRow.media_id) == media_id)
        .order_by(col(PredictionRow.requested_at), col(PredictionRow.release_id), col(PredictionRow.frame_number))
    )
    return (await session.scalars(query)).all()


async def reviews(session: ReadSession, media_ids: Collection[UUID]) -> Sequence[Review]:
    """Every person's answers for these media, oldest first."""
    query = select(Review).where(col(Review.media_id).in_(media_ids)).order_by(col(Review.review_id))
    return (await session.scalars(query)).all()


async def history(session: ReadSession, media_id: UUID) -> Sequence[MediaHistory]:
    """What happened to it, oldest first."""
    query = (
        select(MediaHistory)
        .where(col(MediaHistory.media_id) == media_id)
        .order_by(col(MediaHistory.at), col(MediaHistory.history_id))
    )
    return (await session.scalars(query)).all()


async def quarantine(session: ReadSession, media_id: UUID) -> Quarantine | None:
    """Why it was quarantined, or None where it was not."""
    return await session.get(Quarantine, media_id)


async def entries(session: ReadSession, archive_id: UUID) -> Sequence[UUID]:
    """The files that came out of an archive, duplicates too, by their paths in it."""
    query = (
        select(col(Upload.media_id))
        .where(col(Upload.archive_id) == archive_id)
        .order_by(col(Upload.original_path), col(Upload.media_id))
    )
    return (await session.scalars(query)).all()


async def dead_letters(session: ReadSession, media_id: UUID) -> Sequence[DeadLetterRow]:
    """Messages about it that nobody could handle."""
    query = select(DeadLetterRow).where(col(DeadLetterRow.media_id) == media_id).order_by(col(DeadLetterRow.died_at))
    return (await session.scalars(query)).all()


async def count_states(session: ReadSession, project_id: str) -> dict[str, int]:
    """How many accepted files are in each state."""
    found = await session.execute(
        select(col(Upload.state), func.count()).where(col(Upload.project_id) == project_id).group_by(col(Upload.state))
    )
    return _counted(found.all())


async def count_by_label(session: ReadSession, project_id: str) -> dict[str, int]:
    """How many answered media show each label, the most frequent first."""
    return await _count_by(session, project_id, col(Media.label))


async def count_by_route(session: ReadSession, project_id: str) -> dict[str, int]:
    """How many answered media took each route, the most frequent first."""
    return await _count_by(session, project_id, col(Media.route))


async def _count_by(session: ReadSession, project_id: str, column: Any) -> dict[str, int]:
    found = await session.execute(
        select(column, func.count())
        .where(col(Media.project_id) == project_id, column.is_not(None))
        .group_by(column)
        .order_by(func.count().desc(), column)
    )
    return _counted(found.all())


def _counted(rows: "Sequence[Row[str, int]]") -> dict[str, int]:
    return {row[0]: row[1] for row in rows}


async def make_private(session: WriteSession, media_ids: Collection[UUID]) -> None:
    """Show these media only to reviewers from now on."""
    if media_ids:
        await session.execute(update(Media).where(col(Media.media_id).in_(media_ids)).values(private=True))
