"""The inbox: a message is marked in the transaction of its effect, so that it is applied once (promise 3)."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col

from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.tables import Inbox
from varanger.common.catalog.upsert import insert_ignore
from varanger.common.messages import Envelope


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
