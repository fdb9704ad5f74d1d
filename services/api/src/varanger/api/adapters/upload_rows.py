"""Queries on uploads: what was received, what is a duplicate, how much work waits."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlmodel import col

from varanger.common.catalog.database import ReadSession, WriteSession
from varanger.common.catalog.tables import Project, Upload
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


async def first_of(session: ReadSession, project_id: str, sha256: str) -> Upload | None:
    """The file that brought this content into the project."""
    found = await session.execute(
        select(Upload).where(
            col(Upload.project_id) == project_id, col(Upload.sha256) == sha256, col(Upload.duplicate_of).is_(None)
        )
    )
    return found.scalar_one_or_none()


async def is_recorded(session: ReadSession, offered: Upload, first: UUID) -> bool:
    """Whether a row of this content has the same deployment and path: the first file's, or a duplicate's of it."""
    found = await session.execute(
        select(col(Upload.media_id))
        .where(
            or_(col(Upload.media_id) == first, col(Upload.duplicate_of) == first),
            col(Upload.deployment_id) == offered.deployment_id,
            col(Upload.original_path) == offered.original_path,
        )
        .limit(1)
    )
    return found.scalar_one_or_none() is not None


async def wait_for_turn(session: WriteSession, first: UUID) -> None:
    """Until this transaction ends, who else offers the content of `first` again waits here.

    SQLite has one writer at a time anyway, and no such lock.
    """
    await session.execute(select(col(Upload.media_id)).where(col(Upload.media_id) == first).with_for_update())


async def known_of_project(session: ReadSession, project_id: str, hashes: Collection[str]) -> dict[str, UUID] | None:
    """`by_content`, and in the same query whether there is such a project: None where there is not."""
    found = await session.execute(
        select(col(Upload.sha256), col(Upload.media_id))
        .select_from(Project)
        .outerjoin(
            Upload,
            and_(
                col(Upload.project_id) == col(Project.project_id),
                col(Upload.sha256).in_(hashes),
                col(Upload.duplicate_of).is_(None),
            ),
        )
        .where(col(Project.project_id) == project_id)
    )
    rows = found.all()
    return {row.sha256: row.media_id for row in rows if row.media_id is not None} if rows else None


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


async def lock(session: WriteSession, media_id: UUID | None) -> None:
    """Change what is known of a file alone, as the recorder does: before a letter about it is taken, never after."""
    if media_id is not None:
        await session.execute(select(col(Upload.media_id)).where(col(Upload.media_id) == media_id).with_for_update())


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
