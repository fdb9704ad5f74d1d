"""The relay: outbox rows go out. Lease, publish with confirm, then mark; live before bulk. Two relays may run.

A crash between confirm and mark publishes a message twice; every effect is idempotent.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy import case, delete, func, or_, select, update
from sqlmodel import col

from varanger.common.catalog.database import Catalog
from varanger.common.catalog.tables import Outbox
from varanger.common.clock import now
from varanger.common.errors import BadMessage, Unroutable
from varanger.common.messages import Envelope
from varanger.common.ports.bus import Bus
from varanger.common.telemetry import metrics
from varanger.common.words import Lane

BATCH = 200
LEASE_S = 30.0

_log = structlog.get_logger()


async def relay_once(catalog: Catalog, bus: Bus) -> bool:
    """Send one batch; whether there may be more.

    Raises:
        DependencyDown: catalog or bus is away; the rows come again when their lease ends.
    """
    rows = await _lease(catalog)
    if not rows:
        return False
    try:
        await _publish(bus, rows)
        sent = rows
    except (Unroutable, BadMessage):
        sent = [row for row in rows if await _went_alone(bus, row)]
    async with catalog.writing() as session:
        await session.execute(
            update(Outbox)
            .where(col(Outbox.message_id).in_([row.message_id for row in sent]))
            .values(published_at=now(), leased_until=None)
        )
    for row in sent:
        metrics.OUTBOX_PUBLISHED.labels(row.lane).inc()
    return len(rows) == BATCH


async def _publish(bus: Bus, rows: Sequence[Outbox]) -> None:
    await bus.publish([Envelope.from_body(row.body) for row in rows if row.raw_queue is None])
    for row in rows:
        if row.raw_queue is not None:
            await bus.publish_raw(row.raw_queue, row.body, {})


async def _went_alone(bus: Bus, row: Outbox) -> bool:
    """Whether it went out. One that nobody takes (written by a newer version, perhaps) stays, and holds up no other."""
    try:
        await _publish(bus, [row])
    except (Unroutable, BadMessage) as error:
        _log.error("relay.not_sent", message_id=str(row.message_id), message=row.type, error=str(error))
        return False
    return True


async def _lease(catalog: Catalog) -> Sequence[Outbox]:
    moment = now()
    waiting = (
        select(col(Outbox.message_id))
        .where(
            col(Outbox.published_at).is_(None),
            or_(col(Outbox.leased_until).is_(None), col(Outbox.leased_until) < moment),
        )
        .order_by(case((col(Outbox.lane) == Lane.LIVE, 0), else_=1), col(Outbox.message_id))
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    async with catalog.reading() as session:
        if (
            await session.scalar(select(col(Outbox.message_id)).where(col(Outbox.published_at).is_(None)).limit(1))
        ) is None:
            return ()
    async with catalog.writing() as session:
        ids = (await session.scalars(waiting)).all()
        rows = await session.scalars(
            update(Outbox)
            .where(col(Outbox.message_id).in_(ids))
            .values(leased_until=moment + timedelta(seconds=LEASE_S))
            .returning(Outbox)
        )
        return sorted(rows, key=lambda row: (row.lane != Lane.LIVE, row.message_id))


async def measure_outbox(catalog: Catalog) -> None:
    """Set the age of the oldest waiting message per lane, for the metrics."""
    query = (
        select(col(Outbox.lane), func.min(col(Outbox.created_at)))
        .where(col(Outbox.published_at).is_(None))
        .group_by(col(Outbox.lane))
    )
    async with catalog.reading() as session:
        oldest = {row[0]: row[1] for row in await session.execute(query)}
    for lane in Lane:
        age = (now() - oldest[lane]).total_seconds() if lane in oldest else 0.0
        metrics.OUTBOX_AGE_SECONDS.labels(lane).set(age)


async def forget_published(catalog: Catalog, after_s: float) -> None:
    """Remove rows that were published long ago."""
    async with catalog.writing() as session:
        await session.execute(delete(Outbox).where(col(Outbox.published_at) < now() - timedelta(seconds=after_s)))
