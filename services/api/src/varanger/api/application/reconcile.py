"""The reconciler: the bus is never the only record of work. What stands still is sent again.

Only what no queue holds: a long backlog is not a loss. Sending twice is harmless, effects are idempotent.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from sqlalchemy import exists, select
from sqlmodel import col

from varanger.api import PRODUCER, SERVICE
from varanger.api.application.request_classification import command, request_waiting
from varanger.common import topology
from varanger.common.catalog.database import Catalog, WriteSession
from varanger.common.catalog.queues import send
from varanger.common.catalog.tables import Deployment, Job, Media, Outbox, PredictionRow, Quarantine, Upload
from varanger.common.clock import now
from varanger.common.messages import Envelope, MediaUploaded, Message, QcRoundRequested, TrainingRequested
from varanger.common.ports.bus import Bus
from varanger.common.telemetry import metrics
from varanger.common.topology import Queue
from varanger.common.words import DeploymentSnapshot, JobKind, Lane, MediaState

CHUNK = 500


async def reconcile(catalog: Catalog, bus: Bus, still_since: datetime) -> int:
    """Send again whatever had no progress since `still_since` and lies in no queue; how many were sent."""
    sent = await request_waiting(catalog)
    if await _outbox_waits(catalog):
        return sent  # what seems to stand still may not have left yet
    if await _empty(bus, topology.INGEST):
        sent += await _all(_uploads, catalog, still_since)
    if await _empty(bus, topology.INFERENCE):
        sent += await _all(_classifications, catalog, still_since)
    if await _empty(bus, (topology.QC, topology.TRAINER)):
        sent += await _jobs(catalog, still_since)
    return sent


async def _outbox_waits(catalog: Catalog) -> bool:
    async with catalog.reading() as session:
        query = select(exists().where(col(Outbox.published_at).is_(None)))
        return bool(await session.scalar(query))


async def _empty(bus: Bus, queues: Sequence[Queue]) -> bool:
    return sum([await bus.depth(queue.name) for queue in queues]) == 0


async def _all(chunk: Callable[[Catalog, datetime], Awaitable[int]], catalog: Catalog, still_since: datetime) -> int:
    sent = 0
    while True:
        again = await chunk(catalog, still_since)
        sent += again
        if again < CHUNK:
            return sent


async def _uploads(catalog: Catalog, still_since: datetime) -> int:
    query = (
        select(Upload, Deployment)
        .join(
            Deployment,
            (col(Deployment.project_id) == col(Upload.project_id))
            & (col(Deployment.deployment_id) == col(Upload.deployment_id)),
        )
        .where(
            col(Upload.state) == MediaState.PENDING,
            col(Upload.progress_at) < still_since,
            ~exists().where(col(Media.media_id) == col(Upload.media_id)),
            ~exists().where(col(Quarantine.media_id) == col(Upload.media_id)),
        )
        .limit(CHUNK)
        .with_for_update(of=Upload, skip_locked=True)
    )
    async with catalog.writing() as session:
        rows = (await session.execute(query)).all()
        for upload, deployment in rows:
            upload.progress_at = now()
            _again(session, upload_fact(upload, deployment))
        return len(rows)


async def _classifications(catalog: Catalog, still_since: datetime) -> int:
    query = (
        select(PredictionRow, Media)
        .join(Media, col(Media.media_id) == col(PredictionRow.media_id))
        .where(
            col(PredictionRow.state) == "requested",
            col(PredictionRow.progress_at) < still_since,
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


async def _jobs(catalog: Catalog, still_since: datetime) -> int:
    query = select(Job).where(
        col(Job.state) == "requested",
        col(Job.created_at) < still_since,
        col(Job.kind).in_([JobKind.QC_ROUND, JobKind.TRAINING_RUN]),
    )
    async with catalog.writing() as session:
        jobs = (await session.scalars(query)).all()
        for job in jobs:
            payload: Message = (
                QcRoundRequested(round_id=job.job_id)
                if job.kind == JobKind.QC_ROUND
                else TrainingRequested(run_id=job.job_id)
            )
            _again(session, Envelope.wrap(payload, project_id=job.project_id, producer=PRODUCER, job_id=job.job_id))
        return len(jobs)


def _again(session: WriteSession, envelope: Envelope) -> None:
    metrics.RECONCILED.labels(envelope.type).inc()
    send(session, SERVICE, [envelope])


def upload_fact(upload: Upload, deployment: Deployment) -> Envelope:
    """The `media.uploaded.v1` of an upload row."""
    fact = MediaUploaded(
        media_id=upload.media_id,
        deployment=DeploymentSnapshot.model_validate(deployment.model_dump()),
        incoming_key=upload.incoming_key,
        sha256=upload.sha256,
        bytes=upload.bytes,
        original_name=upload.original_name,
        original_path=upload.original_path,
        uploaded_at=upload.received_at,
    )
    return Envelope.wrap(
        fact,
        project_id=upload.project_id,
        producer=PRODUCER,
        lane=Lane(upload.lane),
        job_id=upload.job_id,
        traceparent=upload.traceparent,
    )
