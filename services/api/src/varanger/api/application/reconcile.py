"""The reconciler: the bus is never the only record of work. What stands still is sent again.

Only what no queue holds: a long backlog is not a loss. Sending twice is harmless, effects are idempotent.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import exists, func, or_, select, update
from sqlmodel import col

from varanger.api import PRODUCER, SERVICE
from varanger.api.application.request_classification import command, request_waiting
from varanger.api.application.upload_fact import upload_fact
from varanger.common import topology
from varanger.common.catalog.database import Catalog, ReadSession, WriteSession
from varanger.common.catalog.outbox import send
from varanger.common.catalog.tables import (
    DeadLetterRow,
    Deployment,
    Job,
    Media,
    Outbox,
    PredictionRow,
    Quarantine,
    Release,
    Upload,
)
from varanger.common.clock import now
from varanger.common.messages import Envelope, Mend, QcRoundRequested, ReleaseRegistered
from varanger.common.ports.bus import Bus
from varanger.common.telemetry import metrics
from varanger.common.words import JobKind, Lane, MediaState

CHUNK = 500
_SAME_TRANSACTION = timedelta(seconds=1)
"""A row and its message are made a moment apart."""
_NEVER = datetime(1970, 1, 2, tzinfo=UTC)


async def reconcile(catalog: Catalog, bus: Bus, still_since: datetime) -> int:
    """Send again whatever had no progress since `still_since` and lies in no queue; how many were sent."""
    sent = await request_waiting(catalog)
    left_by = min(still_since, await _left_by(catalog, still_since))
    for lane, ingest, inference in zip(Lane, topology.INGEST, topology.INFERENCE, strict=True):
        for queue, newest_done, send_again in (
            (ingest, _newest_ingested, _uploads),
            (inference, _newest_answered, _classifications),
        ):
            before = left_by
            if await bus.depth(queue.name):
                before = min(left_by, await newest_done(catalog, lane, still_since) - (now() - still_since))
            sent += await _all(send_again, catalog, lane, before)
    if await bus.depth(topology.QC.name) == 0:
        sent += await _rounds(catalog, left_by)
    if await bus.depth(topology.RELEASES.name) == 0:
        sent += await _releases(catalog, left_by)
    return sent


async def send_everything_again(catalog: Catalog) -> int:
    """Send again all that is open; how many were sent. For the start of a bus that remembers nothing."""
    sent = await request_waiting(catalog)
    begun = now()
    for lane in Lane:
        for send_again in (_uploads, _classifications):
            sent += await _all(send_again, catalog, lane, begun)
    return sent + await _rounds(catalog, begun)


async def _left_by(catalog: Catalog, otherwise: datetime) -> datetime:
    """What was owed to the bus before this has left the outbox."""
    async with catalog.reading() as session:
        oldest = await session.scalar(
            select(func.min(col(Outbox.created_at))).where(col(Outbox.published_at).is_(None))
        )
    return otherwise if oldest is None else oldest - _SAME_TRANSACTION


async def _newest_ingested(catalog: Catalog, lane: Lane, since: datetime) -> datetime:
    """When the newest upload was accepted of those that something happened to since, and that ingest is done with.

    Lanes are first in, first out: what was sent well before it lies in no queue any more, however long that is.
    """
    done = or_(
        col(Upload.state) == MediaState.UNPACKED,
        exists().where(col(Media.media_id) == col(Upload.media_id)),
        exists().where(col(Quarantine.media_id) == col(Upload.media_id)),
    )
    query = select(func.max(col(Upload.received_at))).where(
        col(Upload.state).in_([state for state in MediaState if state is not MediaState.DUPLICATE]),
        col(Upload.progress_at) >= since,
        col(Upload.lane) == lane,
        done,
    )
    async with catalog.reading() as session:
        return await session.scalar(query) or _NEVER


async def _newest_answered(catalog: Catalog, lane: Lane, since: datetime) -> datetime:
    """When the newest classification was asked for of those that were answered since."""
    query = select(func.max(col(PredictionRow.requested_at))).where(
        col(PredictionRow.state).in_(["classified", "failed"]),
        col(PredictionRow.progress_at) >= since,
        col(PredictionRow.lane) == lane,
    )
    async with catalog.reading() as session:
        return await session.scalar(query) or _NEVER


async def _all(
    chunk: Callable[[Catalog, Lane, datetime], Awaitable[int]], catalog: Catalog, lane: Lane, before: datetime
) -> int:
    sent = 0
    while True:
        again = await chunk(catalog, lane, before)
        sent += again
        if again < CHUNK:
            return sent


async def _uploads(catalog: Catalog, lane: Lane, before: datetime) -> int:
    query = (
        select(Upload, Deployment, Quarantine)
        .join(
            Deployment,
            (col(Deployment.project_id) == col(Upload.project_id))
            & (col(Deployment.deployment_id) == col(Upload.deployment_id)),
        )
        .outerjoin(Quarantine, col(Quarantine.media_id) == col(Upload.media_id))
        .where(
            col(Upload.state) == MediaState.PENDING,
            col(Upload.lane) == lane,
            col(Upload.progress_at) < before,
            ~exists().where(col(Media.media_id) == col(Upload.media_id)),
        )
        .limit(CHUNK)
        .with_for_update(of=Upload, skip_locked=True)
    )
    async with catalog.writing() as session:
        rows = (await session.execute(query)).all()
        for upload, deployment, held in rows:
            upload.progress_at = now()
            # Pending in spite of a quarantine row, it was released: with what the person said of it.
            mend = None if held is None else Mend.model_validate(held.mend or {})
            _again(session, upload_fact(upload, deployment, mend=mend))
        return len(rows)


async def _classifications(catalog: Catalog, lane: Lane, before: datetime) -> int:
    query = (
        select(PredictionRow, Media)
        .join(Media, col(Media.media_id) == col(PredictionRow.media_id))
        .where(
            col(PredictionRow.state) == "requested",
            col(PredictionRow.lane) == lane,
            col(PredictionRow.progress_at) < before,
        )
        .limit(CHUNK)
        .with_for_update(of=PredictionRow, skip_locked=True)
    )
    async with catalog.writing() as session:
        rows = (await session.execute(query)).all()
        for prediction, media in rows:
            prediction.progress_at = now()
            _again(session, command(media, prediction, None))
        return len(rows)


async def _rounds(catalog: Catalog, before: datetime) -> int:
    """Rounds nobody drew. Training runs need none of this: the trainer looks for their rows itself."""
    query = select(Job).where(
        col(Job.state) == "requested", col(Job.created_at) < before, col(Job.kind) == JobKind.QC_ROUND
    )
    async with catalog.writing() as session:
        jobs = (await session.scalars(query)).all()
        for job in jobs:
            payload = QcRoundRequested(round_id=job.job_id)
            _again(session, Envelope.wrap(payload, project_id=job.project_id, producer=PRODUCER, job_id=job.job_id))
        return len(jobs)


async def _releases(catalog: Catalog, before: datetime) -> int:
    """Releases that were told of and have no row: hours of training must not hang on one message.

    The outbox keeps for a day what it sent. One that lies in the dead letters waits for a person.
    """
    kind = ReleaseRegistered.TYPE
    query = select(Outbox).where(
        col(Outbox.type) == kind,
        col(Outbox.published_at) < before,
        ~exists().where(
            col(DeadLetterRow.type) == kind,
            col(DeadLetterRow.project_id) == col(Outbox.project_id),
            col(DeadLetterRow.replayed_at).is_(None),
        ),
    )
    async with catalog.reading() as session:
        told = (await session.scalars(query)).all()
        missing = [row.message_id for row in told if not await _is_registered(session, row)]
    if not missing:
        return 0
    async with catalog.writing() as writing:
        owe_again = update(Outbox).where(col(Outbox.message_id).in_(missing)).values(published_at=None)
        await writing.execute(owe_again)
    metrics.RECONCILED.labels(kind).inc(len(missing))
    return len(missing)


async def _is_registered(session: ReadSession, row: Outbox) -> bool:
    payload = Envelope.from_body(row.body).payload
    if not isinstance(payload, ReleaseRegistered):
        return True
    return await session.get(Release, (row.project_id, payload.release_id)) is not None


def _again(session: WriteSession, envelope: Envelope) -> None:
    metrics.RECONCILED.labels(envelope.type).inc()
    send(session, SERVICE, [envelope])
