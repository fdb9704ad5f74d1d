"""The outbox: what a decision owes the bus, written in the transaction of the decision."""

from collections.abc import Iterable

from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.tables import Outbox
from varanger.common.messages import Envelope


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
