"""Queries on uploads in pieces. Every change is a compare-and-swap: of two at once exactly one happens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlmodel import col

from varanger.common.catalog.database import ReadSession, WriteSession
from varanger.common.catalog.tables import PartialUpload


async def find(session: ReadSession, upload_id: UUID, kind: str, key_id: UUID | None) -> PartialUpload | None:
    """The upload, if it is of this kind and was begun with this key."""
    found = await session.execute(
        select(PartialUpload).where(
            col(PartialUpload.upload_id) == upload_id,
            col(PartialUpload.kind) == kind,
            col(PartialUpload.key_id) == key_id,
        )
    )
    return found.scalar_one_or_none()


async def advance(session: WriteSession, before: PartialUpload, pieces: Sequence[dict[str, Any]]) -> bool:
    """Add pieces behind those of `before`; False where another request did meanwhile, or it has ended."""
    moved = await session.execute(
        update(PartialUpload)
        .where(
            col(PartialUpload.upload_id) == before.upload_id,
            col(PartialUpload.state) == "open",
            col(PartialUpload.offset) == before.offset,
        )
        .values(parts=[*before.parts, *pieces], offset=before.offset + sum(piece["bytes"] for piece in pieces))
        .returning(col(PartialUpload.upload_id))
    )
    return moved.scalar_one_or_none() is not None


async def end(session: WriteSession, upload_id: UUID, state: str, verdict: dict[str, Any] | None) -> bool:
    """An open upload is `done` or `gone` from here; False where it was not open any more."""
    ended = await session.execute(
        update(PartialUpload)
        .where(col(PartialUpload.upload_id) == upload_id, col(PartialUpload.state) == "open")
        .values(state=state, verdict=verdict)
        .returning(col(PartialUpload.upload_id))
    )
    return ended.scalar_one_or_none() is not None


async def forget(session: WriteSession, upload_id: UUID) -> None:
    """Gone, whatever it was."""
    await session.execute(
        update(PartialUpload).where(col(PartialUpload.upload_id) == upload_id).values(state="gone", verdict=None)
    )


async def expired(session: ReadSession, moment: datetime, after: UUID | None, limit: int) -> Sequence[PartialUpload]:
    """Uploads that were to be kept until `moment` at most, by id, those behind `after`."""
    query = select(PartialUpload).where(col(PartialUpload.expires_at) <= moment).order_by(col(PartialUpload.upload_id))
    if after is not None:
        query = query.where(col(PartialUpload.upload_id) > after)
    return (await session.scalars(query.limit(limit))).all()


async def remove(session: WriteSession, upload_id: UUID) -> None:
    """Remove the row."""
    await session.execute(delete(PartialUpload).where(col(PartialUpload.upload_id) == upload_id))
