"""Queries on events and the shots they are made of."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import delete, exists, select, tuple_, union_all, update
from sqlmodel import col

from varanger.api.domain.events import Shot
from varanger.common.catalog.database import ReadSession, WriteSession
from varanger.common.catalog.tables import Deployment, Event, Media

MOST_SPANS = 50
"""Stretches of time that are asked for in one query: SQLite joins at most 500 selects."""

MOST_IDS = 10_000
"""Ids in one query: PostgreSQL takes at most 65,535 values, SQLite may take 32,766. A chain of shots that never pauses
can be longer."""

Id = TypeVar("Id")

DeploymentKey = tuple[str, str]
"""Project and deployment id."""
Span = tuple[datetime, datetime]
"""From and to, of the camera's own time, both inclusive."""

_COLUMNS = (
    col(Media.media_id),
    col(Media.sha256),
    col(Media.captured_at),
    col(Media.sub_seconds),
    col(Media.capture_method),
    col(Media.serial_number),
    col(Media.sequence_number),
    col(Media.sequence_length),
    col(Media.event_number),
    col(Media.event_id),
    col(Media.utc_offset),
    col(Media.clock_correction_s),
    col(Media.captured_at_utc),
    col(Media.time_flags),
)


@dataclass(frozen=True)
class KnownShot:
    """A shot with what the catalog has of its time and its event."""

    shot: Shot
    event_id: str | None
    captured_at: datetime | None
    utc_offset: str | None
    clock_correction_s: float
    captured_at_utc: datetime | None
    time_flags: Sequence[str]


def known_shot(media: Any) -> KnownShot:
    """Of a `Media`, or of a row with its columns."""
    at = media.captured_at
    if at is not None and media.sub_seconds is not None:
        at += timedelta(seconds=media.sub_seconds)
    return KnownShot(
        shot=Shot(
            media_id=media.media_id,
            sha256=media.sha256,
            at=at,
            capture_method=media.capture_method,
            serial_number=media.serial_number,
            sequence_number=media.sequence_number or 0,
            sequence_length=media.sequence_length or 0,
            event_number=media.event_number,
        ),
        event_id=media.event_id,
        captured_at=media.captured_at,
        utc_offset=media.utc_offset,
        clock_correction_s=media.clock_correction_s,
        captured_at_utc=media.captured_at_utc,
        time_flags=media.time_flags,
    )


async def lock_deployments(session: WriteSession, keys: Collection[DeploymentKey]) -> dict[DeploymentKey, Deployment]:
    """The deployments as they are now, theirs to change alone until the transaction ends; in a fixed order.

    Whoever changes times or events holds this, and takes it before it changes any media row: so no two wait
    for each other.
    """
    found = await session.scalars(
        select(Deployment)
        .where(tuple_(col(Deployment.project_id), col(Deployment.deployment_id)).in_(sorted(keys)))
        .order_by(col(Deployment.project_id), col(Deployment.deployment_id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {(row.project_id, row.deployment_id): row for row in found}


async def shots_within(session: ReadSession, key: DeploymentKey, spans: Sequence[Span]) -> list[KnownShot]:
    """The deployment's shots of these times, which must not overlap."""
    found: list[KnownShot] = []
    for start in range(0, len(spans), MOST_SPANS):
        parts = [
            select(*_COLUMNS).where(*_of(key), col(Media.captured_at).between(begin, end))
            for begin, end in spans[start : start + MOST_SPANS]
        ]
        rows = await session.execute(parts[0] if len(parts) == 1 else union_all(*parts))
        found.extend(known_shot(row) for row in rows)
    return found


async def shots_after(session: ReadSession, key: DeploymentKey, after: datetime | None, limit: int) -> list[KnownShot]:
    """The next shots with a time, in order of their seconds."""
    query = select(*_COLUMNS).where(*_of(key), col(Media.captured_at).is_not(None))
    if after is not None:
        query = query.where(col(Media.captured_at) > after)
    query = query.order_by(col(Media.captured_at), col(Media.media_id)).limit(limit)
    return [known_shot(row) for row in await session.execute(query)]


async def shots_without_time(
    session: ReadSession, key: DeploymentKey, after: UUID | None, limit: int
) -> list[KnownShot]:
    """The next shots without a time, in order of their ids."""
    query = select(*_COLUMNS).where(*_of(key), col(Media.captured_at).is_(None))
    if after is not None:
        query = query.where(col(Media.media_id) > after)
    return [known_shot(row) for row in await session.execute(query.order_by(col(Media.media_id)).limit(limit))]


def _of(key: DeploymentKey) -> tuple[Any, Any]:
    return col(Media.project_id) == key[0], col(Media.deployment_id) == key[1]


async def change_media(
    session: WriteSession, changes: Mapping[UUID, dict[str, Any]], also_locked: Collection[UUID] = ()
) -> None:
    """Change these media's rows; the dicts hold the same columns.

    Args:
        session: nothing of it is flushed before.
        changes: new values by media id.
        also_locked: media whose rows the transaction will change too. All are locked here in one order.
    """
    if not changes:
        return
    for ids in _some(sorted({*changes, *also_locked})):
        await session.execute(
            select(col(Media.media_id))
            .where(col(Media.media_id).in_(ids))
            .order_by(col(Media.media_id))
            .with_for_update()
        )
    await session.execute(update(Media), [{"media_id": media_id, **changes[media_id]} for media_id in sorted(changes)])


async def events(session: ReadSession, project_id: str, event_ids: Collection[str]) -> dict[str, Event]:
    """Those of these events that are there."""
    found: dict[str, Event] = {}
    for ids in _some(event_ids):
        query = select(Event).where(col(Event.project_id) == project_id, col(Event.event_id).in_(ids))
        found |= {event.event_id: event for event in await session.scalars(query)}
    return found


async def remove_empty(session: WriteSession, key: DeploymentKey, event_ids: Collection[str] | None = None) -> None:
    """Remove those of these events (None: of all of the deployment's) that no media is of any more."""
    query = delete(Event).where(
        col(Event.project_id) == key[0],
        col(Event.deployment_id) == key[1],
        ~exists().where(col(Media.project_id) == col(Event.project_id), col(Media.event_id) == col(Event.event_id)),
    )
    queries = [query] if event_ids is None else [query.where(col(Event.event_id).in_(ids)) for ids in _some(event_ids)]
    for each in queries:
        await session.execute(each, execution_options={"synchronize_session": False})


def _some(ids: Iterable[Id]) -> Iterator[list[Id]]:
    """As many at a time as one query may ask for; in their order."""
    left = iter(ids)
    while some := list(islice(left, MOST_IDS)):
        yield some


async def page(
    session: ReadSession, project_id: str, deployment_id: str | None, *, after: Event | None, limit: int
) -> list[Event]:
    """The next events, by deployment and start; those without a time last."""
    query = select(Event).where(col(Event.project_id) == project_id)
    if deployment_id is not None:
        query = query.where(col(Event.deployment_id) == deployment_id)
    if after is not None:
        query = query.where(_comes_after(after))
    order = (col(Event.deployment_id), col(Event.event_start).nulls_last(), col(Event.event_id))
    return list((await session.scalars(query.order_by(*order).limit(limit))).all())


def _comes_after(last: Event) -> Any:
    deployment, start, event_id = col(Event.deployment_id), col(Event.event_start), col(Event.event_id)
    if last.event_start is None:
        later = start.is_(None) & (event_id > last.event_id)
    else:
        tied = (start == last.event_start) & (event_id > last.event_id)
        later = tied | (start > last.event_start) | start.is_(None)
    return (deployment > last.deployment_id) | ((deployment == last.deployment_id) & later)
