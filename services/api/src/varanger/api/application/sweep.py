"""The sweeper: nothing is removed before it is recorded, and nothing is kept that no row speaks of."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, delete, or_, select, tuple_, update
from sqlmodel import col

from varanger.common.catalog.database import Catalog
from varanger.common.catalog.tables import Inbox, Media, Quarantine, Upload
from varanger.common.clock import now
from varanger.common.ports.objects import ObjectStore
from varanger.common.telemetry import metrics
from varanger.common.words import MediaState

CHUNK = 200
INBOX_KEPT_S = 7 * 86_400.0


async def sweep_recorded(catalog: Catalog, objects: ObjectStore) -> bool:
    """Remove incoming objects of what is recorded as stored, quarantined, unpacked or a duplicate; whether there may be
    more. The copy in quarantine, too, of what was stored after all."""
    query = (
        select(Upload, Quarantine)
        .outerjoin(Media, col(Media.media_id) == col(Upload.media_id))
        .outerjoin(Quarantine, col(Quarantine.media_id) == col(Upload.media_id))
        .where(
            col(Upload.swept_at).is_(None),
            or_(
                col(Media.media_id).is_not(None),
                col(Upload.duplicate_of).is_not(None),
                col(Upload.state) == MediaState.UNPACKED,
                # Sent back to ingest, it is read from the quarantine, which then holds its only bytes.
                and_(col(Upload.state) == MediaState.QUARANTINED, col(Quarantine.key) != col(Upload.incoming_key)),
            ),
        )
        .limit(CHUNK)
    )
    async with catalog.reading() as session:
        found = (await session.execute(query)).all()
    for upload, held in found:
        kept_twice = {held.key} if held is not None and upload.state != MediaState.QUARANTINED else set()
        for key in {upload.incoming_key} | kept_twice:
            await objects.delete(key)
            metrics.SWEPT.labels("recorded").inc()
    if found:
        # Released meanwhile, it has another incoming key, which is still to be swept.
        same = tuple_(col(Upload.media_id), col(Upload.incoming_key)).in_(
            [(upload.media_id, upload.incoming_key) for upload, _ in found]
        )
        async with catalog.writing() as session:
            # Locked in one order, as the recorder does, so that neither waits for the other.
            locked = select(col(Upload.media_id)).where(same).order_by(col(Upload.media_id)).with_for_update()
            await session.execute(locked)
            await session.execute(update(Upload).where(same).values(swept_at=now()))
    return len(found) == CHUNK


async def sweep_rowless(catalog: Catalog, objects: ObjectStore, after_s: float) -> int:
    """Remove incoming objects older than `after_s` that no upload row needs; how many.

    They were cut off before their commit, or written again by a late repeat, or left behind by a release from
    quarantine, which goes on with the quarantine's copy.
    """
    limit = now() - timedelta(seconds=after_s)
    removed = 0
    async for item in objects.list("incoming/"):
        if item.modified_at >= limit:
            continue
        async with catalog.reading() as session:
            known = await session.get(Upload, _media_id(item.key)) if _media_id(item.key) else None
        if known is None or known.swept_at is not None or known.incoming_key != item.key:
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
