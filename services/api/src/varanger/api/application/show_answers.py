"""After a promotion, or the way back: media that the release now in force has answered show its answer."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import exists, select
from sqlmodel import col

from varanger.api.application.known_media import KnownMedia
from varanger.common.catalog.database import Catalog, ReadSession
from varanger.common.catalog.tables import Media, PredictionRow, Project
from varanger.common.words import Purpose

CHUNK = 500


async def show_in_force(catalog: Catalog, project_id: str) -> None:
    """Compute again what these media show. Idempotent, in chunks; what is answered later shows by itself."""
    after: UUID | None = None
    while True:
        # Looked for outside the transaction: SQLite has one writer, and mostly there is nothing to do.
        async with catalog.reading() as reading:
            found = await _showing_another(reading, project_id, after)
        if not found:
            return
        async with catalog.writing() as session:
            known = await KnownMedia.read(session, found)
            for media_id in found:
                known.settle(media_id)
        after = found[-1]


async def _showing_another(session: ReadSession, project_id: str, after: UUID | None) -> Sequence[UUID]:
    """Media that show another release's answer, or none, although the one in force has answered (a frame of) them."""
    query = (
        select(col(Media.media_id))
        .join(Project, col(Project.project_id) == col(Media.project_id))
        .where(
            col(Media.project_id) == project_id,
            col(Media.release_id).is_distinct_from(col(Project.release_id)),
            exists().where(
                col(PredictionRow.media_id) == col(Media.media_id),
                col(PredictionRow.release_id) == col(Project.release_id),
                col(PredictionRow.state) == "classified",
                col(PredictionRow.purpose) != Purpose.SHADOW,
            ),
        )
        .order_by(col(Media.media_id))
        .limit(CHUNK)
    )
    if after is not None:
        query = query.where(col(Media.media_id) > after)
    return (await session.scalars(query)).all()
