"""What inference could not answer lies with the dead letters too: every `failed` can be replayed (promise 2)."""

import uuid
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import update
from sqlmodel import col

from varanger.api.application.request_classification import command
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.tables import DeadLetterRow, Media, PredictionRow
from varanger.common.clock import now
from varanger.common.topology import INFERENCE
from varanger.common.words import Lane

_NAMESPACE = UUID("0d1c7f53-8a37-5c0b-9a53-1b1f0e0a7c55")
_QUEUE = {lane: queue.name for lane, queue in zip(Lane, INFERENCE, strict=True)}


async def lay_aside(session: WriteSession, media: Media, row: PredictionRow) -> None:
    """Keep the command that failed, one letter for a prediction; one that was replayed and failed again reopens."""
    letter_id = uuid.uuid5(_NAMESPACE, f"{row.media_id}/{row.release_id}/{row.frame_number}")
    letter = await session.get(DeadLetterRow, letter_id)
    if letter is None:
        asked = command(media, row, None)
        letter = DeadLetterRow(
            dead_letter_id=letter_id,
            project_id=row.project_id,
            queue=_QUEUE[Lane(row.lane)],
            type=asked.type,
            media_id=row.media_id,
            release_id=row.release_id,
            frame_number=row.frame_number,
            body=asked.to_body(),
            reason="",
        )
        session.add(letter)
    letter.reason, letter.died_at, letter.replayed_at = row.reason or "", now(), None


async def close_letters(session: WriteSession, answered: Iterable[tuple[UUID, str, int]]) -> None:
    """Nobody needs to replay what was answered after all: letters about these (media, release, frame)."""
    for media_id, release_id, frame_number in sorted(set(answered)):
        await session.execute(
            update(DeadLetterRow)
            .where(
                col(DeadLetterRow.media_id) == media_id,
                col(DeadLetterRow.release_id) == release_id,
                col(DeadLetterRow.frame_number) == frame_number,
                col(DeadLetterRow.replayed_at).is_(None),
            )
            .values(replayed_at=now())
        )
