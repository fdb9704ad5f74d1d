"""Queries on the quarantine."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import exists, select, update
from sqlmodel import col

from varanger.common.catalog.database import ReadSession, WriteSession
from varanger.common.catalog.tables import DeadLetterRow, Media, Quarantine, Upload
from varanger.common.clock import now
from varanger.common.words import MediaState


@dataclass(frozen=True)
class HeldFile:
    """A file that is kept and is not media, and why."""

    upload: Upload
    held: Quarantine


async def page(
    session: ReadSession,
    project_id: str,
    *,
    reason: str | None,
    deployment_id: str | None,
    limit: int,
    after: UUID | None,
) -> list[HeldFile]:
    """The next `limit` files after the one with id `after`, in order of arrival; with those sent back to ingest, until
    they are media."""
    query = (
        select(Upload, Quarantine)
        .join(Quarantine, col(Quarantine.media_id) == col(Upload.media_id))
        .where(
            col(Quarantine.project_id) == project_id,
            col(Upload.state) != MediaState.UNPACKED,
            ~exists().where(col(Media.media_id) == col(Upload.media_id)),
        )
        .order_by(col(Upload.media_id))
        .limit(limit)
    )
    if reason is not None:
        query = query.where(col(Quarantine.reason) == reason)
    if deployment_id is not None:
        query = query.where(col(Upload.deployment_id) == deployment_id)
    if after is not None:
        query = query.where(col(Upload.media_id) > after)
    return [HeldFile(upload, held) for upload, held in await session.execute(query)]


async def find(session: ReadSession, media_id: UUID) -> HeldFile | None:
    """One file that was quarantined, whatever became of it since; None: it never was."""
    query = (
        select(Upload, Quarantine)
        .join(Quarantine, col(Quarantine.media_id) == col(Upload.media_id))
        .where(col(Upload.media_id) == media_id)
    )
    found = (await session.execute(query)).one_or_none()
    return None if found is None else HeldFile(found[0], found[1])


async def close_ingest_letters(session: WriteSession, media_id: UUID) -> None:
    """Nobody waits any more for what dead letters say of its ingest so far."""
    await session.execute(
        update(DeadLetterRow)
        .where(
            col(DeadLetterRow.media_id) == media_id,
            col(DeadLetterRow.release_id).is_(None),
            col(DeadLetterRow.replayed_at).is_(None),
        )
        .values(replayed_at=now())
    )
