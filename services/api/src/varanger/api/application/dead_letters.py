"""Dead letters: messages nobody could handle become rows, count as `failed`, and can be replayed."""

import uuid
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import col

from varanger.api import PRODUCER, SERVICE
from varanger.api.adapters import upload_rows
from varanger.api.application.known_media import KnownMedia
from varanger.common.catalog.database import Catalog, WriteSession
from varanger.common.catalog.history import remember
from varanger.common.catalog.tables import NO_FRAME, DeadLetterRow, Job, Outbox, PredictionRow, Upload
from varanger.common.clock import now
from varanger.common.errors import BadMessage
from varanger.common.ids import new_id
from varanger.common.messages import (
    ClassificationRequested,
    Envelope,
    MediaClassified,
    MediaFailed,
    MediaQuarantined,
    MediaStored,
    MediaUnpacked,
    MediaUploaded,
    Message,
    QcRoundRequested,
)
from varanger.common.ports.bus import Delivery
from varanger.common.topology import QUEUES
from varanger.common.words import JobState, Lane

_NAMESPACE = UUID("6c1f0a56-2f0b-5c56-9d43-6d2f1f3b7a10")
_QUEUES = frozenset(queue.name for queue in QUEUES)
_OfAnswer = ClassificationRequested | MediaClassified | MediaFailed
_OfIntake = MediaUploaded | MediaStored | MediaQuarantined | MediaUnpacked


async def record_dead_letter(catalog: Catalog, delivery: Delivery) -> None:
    """Write one dead letter as a row; the same one again changes nothing, and one that died after a replay reopens."""
    # PostgreSQL stores no NUL in text; the body, which is bytes, keeps what was there.
    headers = {name: value.replace("\0", "\ufffd") for name, value in delivery.headers.items()}
    queue = headers.get("x-queue", "")
    row_id = uuid.uuid5(_NAMESPACE, f"{queue}\n{headers.get('x-message-id', '')}\n{delivery.body.hex()}")
    try:
        envelope: Envelope | None = Envelope.from_body(delivery.body)
    except BadMessage:
        envelope = None
    async with catalog.writing() as session:
        if envelope is not None and isinstance(envelope.payload, _OfAnswer | _OfIntake):
            await upload_rows.lock(session, envelope.payload.media_id)
        row = await session.get(DeadLetterRow, row_id, with_for_update=True)
        if row is not None and row.replayed_at is None:
            return
        if row is None:
            row = DeadLetterRow(dead_letter_id=row_id, queue=queue, body=delivery.body, reason="")
            session.add(row)
        row.headers, row.reason = dict(headers), headers.get("x-reason", "no reason was given")
        row.died_at, row.replayed_at = now(), None
        if envelope is None:
            return
        row.project_id, row.type = envelope.project_id, envelope.type
        if isinstance(envelope.payload, QcRoundRequested):
            # A job always ends. The owner of this one could not even say so, so the letter does.
            await _move_job(session, envelope.payload.round_id, JobState.FAILED, f"dead letter: {row.reason}")
        if isinstance(envelope.payload, _OfAnswer | _OfIntake):
            await _mark_failed(session, row, envelope, envelope.payload)


async def _mark_failed(
    session: WriteSession, row: DeadLetterRow, envelope: Envelope, payload: _OfAnswer | _OfIntake
) -> None:
    media_id = row.media_id = payload.media_id
    if isinstance(payload, _OfAnswer):
        row.release_id = payload.release_id
        row.frame_number = NO_FRAME if payload.frame_number is None else payload.frame_number
    await session.flush()
    known = await KnownMedia.read(session, [media_id])
    if media_id not in known.uploads:
        return
    if _is_void(payload, known.uploads[media_id]):
        row.replayed_at = now()
        return
    prediction = _prediction(known, row, media_id)
    if prediction is not None and prediction.state == "requested":
        prediction.state, prediction.reason = "failed", f"dead letter: {row.reason}"
    remember(session, envelope.project_id, media_id, "failed", PRODUCER, queue=row.queue, reason=row.reason)
    known.settle(media_id)


def _is_void(payload: Message, upload: Upload) -> bool:
    """Whether it is about an intake before a release from quarantine: nobody waits for it any more."""
    return isinstance(payload, MediaUploaded | MediaQuarantined) and payload.intake_number < upload.intake_number


def _prediction(known: KnownMedia, letter: DeadLetterRow, media_id: UUID) -> PredictionRow | None:
    return known.predictions[media_id].get((letter.release_id or "", letter.frame_number))


async def replay(catalog: Catalog, dead_letter_ids: Sequence[UUID], *, by: str) -> int:
    """Send dead letters to the queues they died in again, first attempt; their media return to `pending`.

    Returns:
        How many were sent; one that was replayed before, or whose queue nobody knows, is left alone.
    """
    sent = 0
    for dead_letter_id in dead_letter_ids:
        async with catalog.writing() as session:
            await upload_rows.lock(session, await _media_of(session, dead_letter_id))
            row = await session.get(DeadLetterRow, dead_letter_id, with_for_update=True)
            if row is None or row.replayed_at is not None or row.queue not in _QUEUES:
                continue
            row.replayed_at = now()
            session.add(
                Outbox(
                    message_id=new_id(),
                    project_id=row.project_id,
                    owner=SERVICE,
                    lane=Lane.LIVE,
                    type=row.type,
                    body=row.body,
                    raw_queue=row.queue,
                )
            )
            sent += 1
            if row.type == QcRoundRequested.TYPE:
                payload = Envelope.from_body(row.body).payload
                if isinstance(payload, QcRoundRequested):
                    await _move_job(session, payload.round_id, JobState.REQUESTED, "")
            if row.media_id is not None:
                await _mark_pending(session, row, row.media_id, by)
    return sent


async def _media_of(session: WriteSession, dead_letter_id: UUID) -> UUID | None:
    return await session.scalar(
        select(col(DeadLetterRow.media_id)).where(col(DeadLetterRow.dead_letter_id) == dead_letter_id)
    )


async def _move_job(session: WriteSession, job_id: UUID, to: JobState, message: str) -> None:
    """Into `failed` from where it waits; back to `requested` from there."""
    is_end = to is JobState.FAILED
    movable = (JobState.REQUESTED, JobState.RUNNING) if is_end else (JobState.FAILED,)
    await session.execute(
        update(Job)
        .where(col(Job.job_id) == job_id, col(Job.state).in_(movable))
        .values(state=to, message=message, ended_at=now() if is_end else None)
    )


async def _mark_pending(session: WriteSession, row: DeadLetterRow, media_id: UUID, by: str) -> None:
    await session.flush()
    known = await KnownMedia.read(session, [media_id])
    if media_id not in known.uploads:
        return
    prediction = _prediction(known, row, media_id)
    if prediction is not None and prediction.state == "failed":
        prediction.state, prediction.reason, prediction.progress_at = "requested", None, now()
    remember(session, row.project_id, media_id, "replayed", by, queue=row.queue)
    known.settle(media_id)


async def open_dead_letters(
    catalog: Catalog, project_id: str | None = None, limit: int = 1000
) -> Sequence[DeadLetterRow]:
    """Dead letters that were not replayed, oldest first; `project_id` None: all."""
    query = (
        select(DeadLetterRow)
        .where(col(DeadLetterRow.replayed_at).is_(None))
        .order_by(col(DeadLetterRow.died_at))
        .limit(limit)
    )
    if project_id is not None:
        query = query.where(col(DeadLetterRow.project_id) == project_id)
    async with catalog.reading() as session:
        return (await session.scalars(query)).all()
