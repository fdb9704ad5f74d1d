"""Queries on uploads: what was received, what is a duplicate, how much work waits."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from varanger.common.catalog.database import ReadSession, WriteSession
from varanger.common.catalog.tables import Upload
from varanger.common.catalog.upsert import insert_ignore
from varanger.common.words import Lane, MediaState


async def by_content(session: ReadSession, project_id: str, hashes: Collection[str]) -> dict[str, UUID]:
    """The media ids of those contents that the project has already: `{sha256: media_id}`."""
    if not hashes:
        return {}
    found = await session.execute(
        select(col(Upload.sha256), col(Upload.media_id)).where(
            col(Upload.project_id) == project_id,
            col(Upload.sha256).in_(hashes),
            col(Upload.duplicate_of).is_(None),
        )
    )
    return {row.sha256: row.media_id for row in found}


async def insert_first(session: WriteSession, uploads: Sequence[Upload]) -> set[UUID]:
    """Insert those whose content the project does not have yet; their ids.

    In order of their hashes, so that two requests with the same files wait for one another, never in a circle.
    """
    if not uploads:
        return set()
    ordered = sorted(uploads, key=lambda upload: upload.sha256)
    statement = insert_ignore(session, Upload).returning(col(Upload.media_id))
    inserted = await session.execute(statement, [upload.model_dump() for upload in ordered])
    return set(inserted.scalars())


async def bulk_backlog(session: ReadSession, limit: int) -> int:
    """Files of the bulk lane that wait for ingest or for an answer; counted up to `limit`, so it stays cheap.

    A video is one file, however many of its frames wait. Media that wait because the project has no release in force
    are nobody's backlog.
    """
    pending = (
        select(col(Upload.media_id))
        .where(col(Upload.state) == MediaState.PENDING, col(Upload.lane) == Lane.BULK)
        .limit(limit)
        .subquery()
    )
    return (await session.execute(select(func.count()).select_from(pending))).scalar_one()
