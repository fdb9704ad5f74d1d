"""Events (Camtrap DP): the media of one trigger burst each."""

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from varanger.api.adapters import event_rows
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.problems import Problem
from varanger.api.gateway.security import GatewayDep, Reader
from varanger.common.catalog.tables import Event

router = APIRouter(prefix="/v1/projects/{project}/events", tags=["events"])


class EventOut(BaseModel):
    """An event. Its start and end are UTC, and null for a media without a time; the id changes where bursts merge."""

    event_id: str
    deployment: str
    event_start: datetime | None
    event_end: datetime | None
    capture_method: str | None
    media_count: int


class EventPage(BaseModel):
    """Some events; `next` is the cursor of the page after, null on the last."""

    items: list[EventOut]
    next: str | None


@router.get("")
async def list_events(
    gateway: GatewayDep,
    _: Reader,
    project: str,
    *,
    deployment: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> EventPage:
    """A page of events, by deployment and start. `GET /v1/media?event=` has the media of one."""
    after = None if cursor is None else _from_cursor(cursor)
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)
        found = await event_rows.page(session, project, deployment, after=after, limit=limit + 1)
    shown = found[:limit]
    return EventPage(
        items=[EventOut.model_validate(row.model_dump() | {"deployment": row.deployment_id}) for row in shown],
        next=_cursor(shown[-1]) if len(found) > limit else None,
    )


def _cursor(last: Event) -> str:
    start = None if last.event_start is None else last.event_start.isoformat()
    place = json.dumps([last.deployment_id, start, last.event_id])
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _from_cursor(cursor: str) -> Event:
    """The place after which the page begins; its event may have merged with another meanwhile."""
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        deployment, start, event_id = place
        began = None if start is None else datetime.fromisoformat(start)
        if not (isinstance(deployment, str) and isinstance(event_id, str)) or (began and began.tzinfo is None):
            raise ValueError(place)
    except (ValueError, TypeError, binascii.Error) as error:
        raise Problem(422, "cursor: give back `next` of the page before, unchanged") from error
    return Event(project_id="", deployment_id=deployment, event_id=event_id, event_start=began)
