"""Outbox, inbox, history: what a transaction writes beside its change, so that nothing is said that did not happen."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, col

from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.tables import Inbox, MediaHistory, Outbox
from varanger.common.messages import Envelope


def insert_ignore(session: WriteSession, table: type[SQLModel]) -> "postgresql.Insert | sqlite.Insert":
    """An `INSERT … ON CONFLICT DO NOTHING` for the session's database."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def send(session: WriteSession, owner: str, envelopes: Iterable[Envelope]) -> None:
    """Owe these messages to the bus: they go out after this transaction commits, or never."""
    session.add_all(
        Outbox(
            message_id=envelope.message_id,
            project_id=envelope.project_id,
            owner=owner,
            lane=envelope.lane,
            type=envelope.type,
            body=envelope.to_body(),
        )
        for envelope in envelopes
    )


async def take_new(session: WriteSession, owner: str, envelopes: Sequence[Envelope]) -> set[UUID]:
    """Mark these messages as applied in this transaction; the ids of those that were not applied before."""
    if not envelopes:
        return set()
    rows = {envelope.message_id: envelope for envelope in envelopes}
    statement = (
        insert_ignore(session, Inbox)
        .values(
            [
                Inbox(owner=owner, message_id=message_id, project_id=envelope.project_id).model_dump()
                for message_id, envelope in sorted(rows.items())
            ]
        )
        .returning(col(Inbox.message_id))
    )
    return set((await session.execute(statement)).scalars())


def remember(session: WriteSession, project_id: str, media_id: UUID, what: str, by: str, **details: Any) -> None:
    """Add a line to the media's append-only history."""
    session.add(MediaHistory(project_id=project_id, media_id=media_id, what=what, by=by, details=details))
