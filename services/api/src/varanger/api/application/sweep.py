"""The sweeper: nothing is removed before it is recorded, and nothing is kept that no row speaks of."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlmodel import col

from varanger.common.catalog.database import Catalog
from varanger.common.catalog.tables import Inbox, Media, Quarantine, Upload
from varanger.common.clock import now
from varanger.common.ports.objects import ObjectStore
from varanger.common.telemetry import metrics

CHUNK = 200
INBOX_KEPT_S = 7 * 86_400.0


async def sweep_recorded(catalog: Catalog, objects: ObjectStore) -> bool:
    """Remove incoming objects whose file is recorded as stored or quarantined; whether there may be more."""
    query = (
        select(Upload)
        .outerjoin(Media, col(Media.media_id) == col(Upload.media_id))
        .outerjoin(Quarantine, col(Quarantine.media_id) == col(Upload.media_id))
        .where(
            col(Upload.swept_at).is_(None),
            col(Upload.duplicate_of).is_(None),
            or_(col(Media.media_id).is_not(None), col(Quarantine.media_id).is_not(None)),
        )
        .limit(CHUNK)
    )
    async with catalog.reading() as session:
        found = (await session.scalars(query)).all()
    for upload in found:
        await objects.delete(upload.incoming_key)
        metrics.SWEPT.labels("recorded").inc()
    if found:
        async with catalog.writing() as session:
            ids = [upload.media_id for upload in found]
            await session.execute(update(Upload).where(col(Upload.media_id).in_(ids)).values(swept_at=now()))
    return len(found) == CHUNK


async def sweep_rowless(catalog: Catalog, objects: ObjectStore, after_s: float) -> int:
    """Remove incoming objects older than `after_s` without an upload row: cut off before their commit."""
    limit = now() - timedelta(seconds=after_s)
    removed = 0
    async for item in objects.list("incoming/"):
        if item.modified_at >= limit:
            continue
        async with catalog.reading() as session:
            known = await session.get(Upload, _media_id(item.key)) if _media_id(item.key) else None
        if known is None:
            await objects.delete(item.key)
            metrics.SWEPT.labels("no_row").inc()
            removed += 1
    return removed


def _media_id(key: str) -> UUID | None:
    try:
        return UUID(key.rsplit("/", 1)[-1])
    except ValueError:
        return None


async def forget_inbox(catalog: Catalog) -> None:
    """Remove marks of messages that can no longer come again."""
    async with catalog.writing() as session:
        await session.execute(delete(Inbox).where(col(Inbox.seen_at) < now() - timedelta(seconds=INBOX_KEPT_S)))
