"""A media's history: append-only, written in the transaction of the change."""

from typing import Any
from uuid import UUID

from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.tables import MediaHistory


def remember(session: WriteSession, project_id: str, media_id: UUID, what: str, by: str, **details: Any) -> None:
    """Add a line to the media's append-only history."""
    session.add(MediaHistory(project_id=project_id, media_id=media_id, what=what, by=by, details=details))
