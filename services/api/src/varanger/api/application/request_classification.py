"""Asking for an answer: a prediction row in state `requested` and a command in the outbox, in one transaction."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import exists, select
from sqlmodel import col

from varanger.api import PRODUCER, SERVICE
from varanger.api.application.known_media import KnownMedia, frames_of
from varanger.common.catalog.database import Catalog, ReadSession, WriteSession
from varanger.common.catalog.outbox import send
from varanger.common.catalog.tables import NO_FRAME, Media, PredictionRow, Project, Upload
from varanger.common.messages import ClassificationRequested, Envelope
from varanger.common.view_keys import frame_view_key
from varanger.common.words import Lane, Purpose

CHUNK = 500


def request_intake(
    session: WriteSession, known: KnownMedia, media: Media, *, release_id: str, lane: str, traceparent: str | None
) -> None:
    """Ask for the intake answer of one stored media, or of each frame of a video, where nobody has asked for it yet."""
    rows = known.predictions[media.media_id]
    asked = {row.frame_number for row in rows.values() if row.purpose != Purpose.SHADOW}
    for frame_number in frames_of(media):
        if frame_number in asked:
            continue
        if (release_id, frame_number) in rows:
            # It was asked in the shadow, and has answered or will: from now on that counts.
            rows[release_id, frame_number].purpose = Purpose.INTAKE
            continue
        row = PredictionRow(
            media_id=media.media_id,
            release_id=release_id,
            frame_number=frame_number,
            project_id=media.project_id,
            purpose=Purpose.INTAKE,
            state="requested",
            lane=lane,
            job_id=known.uploads[media.media_id].job_id,
        )
        session.add(row)
        rows[release_id, frame_number] = row
        send(session, SERVICE, [command(media, row, traceparent)])


def command(media: Media, row: PredictionRow, traceparent: str | None) -> Envelope:
    """The command that asks for a prediction row's answer."""
    frame_number = None if row.frame_number == NO_FRAME else row.frame_number
    payload = ClassificationRequested(
        media_id=media.media_id,
        release_id=row.release_id,
        purpose=Purpose(row.purpose),
        key=media.key,
        view_key=media.view_key if frame_number is None else frame_view_key(media.view_key, frame_number),
        sha256=media.sha256,
        frame_number=frame_number,
    )
    return Envelope.wrap(
        payload,
        project_id=media.project_id,
        producer=PRODUCER,
        lane=Lane(row.lane),
        job_id=row.job_id,
        traceparent=traceparent,
    )


async def request_waiting(catalog: Catalog, project_id: str | None = None) -> int:
    """Ask for every stored media that waited for a release; how many were asked for. Idempotent, in chunks."""
    asked = 0
    while True:
        # Looked for outside the transaction: SQLite has one writer, and mostly there is nothing to do.
        async with catalog.reading() as reading:
            found = await _waiting(reading, project_id)
        if not found:
            return asked
        async with catalog.writing() as session:
            known = await KnownMedia.read(session, found)
            for media_id in found:
                media = known.media[media_id]
                release_id = known.projects[media.project_id].release_id
                if release_id is not None:
                    upload = known.uploads[media_id]
                    request_intake(
                        session,
                        known,
                        media,
                        release_id=release_id,
                        lane=upload.lane,
                        traceparent=upload.traceparent,
                    )
                    known.settle(media_id)
        asked += len(found)
        if len(found) < CHUNK:
            return asked


async def _waiting(session: ReadSession, project_id: str | None) -> Sequence[UUID]:
    query = (
        select(col(Media.media_id))
        .join(Project, col(Project.project_id) == col(Media.project_id))
        .join(Upload, col(Upload.media_id) == col(Media.media_id))
        .where(
            col(Project.release_id).is_not(None),
            ~exists().where(
                col(PredictionRow.media_id) == col(Media.media_id), col(PredictionRow.purpose) != Purpose.SHADOW
            ),
        )
        .order_by(col(Media.media_id))
        .limit(CHUNK)
    )
    if project_id is not None:
        query = query.where(col(Media.project_id) == project_id)
    return (await session.scalars(query)).all()
