"""A person says when a media was taken, where its file does not, or says it wrong."""

from datetime import datetime
from uuid import UUID

from varanger.api.adapters.event_rows import known_shot, lock_deployments
from varanger.api.application.assign_events import move_in_time
from varanger.api.application.derive_times import derived_columns, time_rule
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.history import remember
from varanger.common.catalog.tables import Media

DATE_BY_PERSON = "date_by_person"
_NO_DATE = "no_date"


async def set_date(session: WriteSession, media_id: UUID, captured_at: datetime, *, by: str) -> None:
    """Write the camera's own time of a media; UTC and events follow, its name and its files stay.

    Args:
        session: the change and its line of history are one transaction.
        media_id: of a media that is stored.
        captured_at: naive, to the second; the deployment's clock correction applies to it as to any other.
        by: who says so.
    """
    found = await session.get_one(Media, media_id)
    key = (found.project_id, found.deployment_id)
    deployment = (await lock_deployments(session, [key]))[key]
    media = await session.get_one(Media, media_id, populate_existing=True)
    if media.captured_at == captured_at and DATE_BY_PERSON in media.flags:
        return
    was = known_shot(media)
    remember(
        session,
        media.project_id,
        media_id,
        "date_set",
        by,
        before=None if media.captured_at is None else media.captured_at.isoformat(),
        after=captured_at.isoformat(),
    )
    media.captured_at, media.sub_seconds = captured_at, None
    media.flags = [*(flag for flag in media.flags if flag not in (_NO_DATE, DATE_BY_PERSON)), DATE_BY_PERSON]
    for name, value in derived_columns(time_rule(deployment), captured_at, media.utc_offset).items():
        setattr(media, name, value)
    await move_in_time(session, deployment, media, was)
