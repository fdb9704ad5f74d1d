"""Bring recorded media after what is known of their deployment now: times derived again, events found again.

A change of a deployment's clock, zone, period or gap raises its `revision`. This follows in chunks of one transaction
each, and sets `applied_revision` at the end. Media that are stored meanwhile use the row as it is; a change meanwhile
begins it anew; after a restart it begins anew too, and writes only what differs. No file, name or key ever changes.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlmodel import col

from varanger.api.adapters import event_rows
from varanger.api.adapters.event_rows import DeploymentKey, KnownShot
from varanger.api.application.assign_events import settle
from varanger.api.application.derive_times import derived_columns, time_rule
from varanger.api.domain.events import settled
from varanger.common.catalog.database import Catalog, WriteSession
from varanger.common.catalog.leases import take_lease
from varanger.common.catalog.tables import Deployment

CHUNK = 1000
LEASE_S = 90.0
_DERIVED = ("clock_correction_s", "captured_at_utc", "time_flags")

log = structlog.get_logger("varanger.api")


@dataclass(frozen=True)
class _Place:
    """How far a deployment's media were brought after which of its revisions."""

    key: DeploymentKey
    revision: int
    after: datetime | None = None
    """Shots with a time come first, in order of it."""
    timed_done: bool = False
    after_id: UUID | None = None
    """Then those without one."""
    done: bool = False


class DeploymentApplier:
    """The recorder's loop for changed deployments. One recorder at a time does it, under a lease."""

    def __init__(self, catalog: Catalog, holder: str, chunk: int = CHUNK) -> None:
        self._catalog = catalog
        self._holder = holder
        self._chunk = chunk
        self._place: _Place | None = None

    async def step(self) -> bool:
        """One chunk of one deployment; whether there may be more.

        Raises:
            DependencyDown: the catalog does not answer; the chunk is done again.
        """
        key = await self._next()
        if key is None or await take_lease(self._catalog, "times", self._holder, LEASE_S) is None:
            return False
        async with self._catalog.writing() as session:
            row = (await event_rows.lock_deployments(session, [key]))[key]
            place = self._place
            if place is None or (place.key, place.revision) != (key, row.revision):
                place = _Place(key, row.revision)
            place = await self._apply(session, row, place)
            if place.done:
                await event_rows.remove_empty(session, key)
                row.applied_revision = row.revision
        self._place = None if place.done else place
        if place.done:
            log.info("deployment.applied", project=key[0], deployment=key[1], revision=place.revision)
        return True

    async def _next(self) -> DeploymentKey | None:
        async with self._catalog.reading() as session:
            query = (
                select(col(Deployment.project_id), col(Deployment.deployment_id))
                .where(col(Deployment.applied_revision) != col(Deployment.revision))
                .order_by(col(Deployment.project_id), col(Deployment.deployment_id))
                .limit(1)
            )
            row = (await session.execute(query)).first()
        return None if row is None else (row.project_id, row.deployment_id)

    async def _apply(self, session: WriteSession, deployment: Deployment, place: _Place) -> _Place:
        if not place.timed_done:
            shots, last = await self._to_a_silence(session, deployment, place)
            await _bring_after(session, deployment, shots)
            return replace(place, after=shots[-1].captured_at if shots else place.after, timed_done=last)
        shots = await event_rows.shots_without_time(session, place.key, place.after_id, self._chunk)
        await _bring_after(session, deployment, shots)
        last = len(shots) < self._chunk
        return replace(place, after_id=shots[-1].shot.media_id if shots else place.after_id, done=last)

    async def _to_a_silence(
        self, session: WriteSession, deployment: Deployment, place: _Place
    ) -> tuple[list[KnownShot], bool]:
        """The next shots, up to a silence that no event reaches across; whether they are the last."""
        limit = self._chunk
        while True:
            shots = await event_rows.shots_after(session, place.key, place.after, limit)
            if len(shots) < limit:
                return shots, True
            stand = settled([known.shot for known in shots], deployment.event_gap_s)
            if stand:
                return shots[:stand], False
            limit *= 2


async def _bring_after(session: WriteSession, deployment: Deployment, shots: list[KnownShot]) -> None:
    """Derive these shots' times, find their events, write what differs."""
    rule = time_rule(deployment)
    columns = {known.shot.media_id: derived_columns(rule, known.captured_at, known.utc_offset) for known in shots}
    derived = [replace(known, **columns[known.shot.media_id]) for known in shots]
    moved = await settle(session, deployment, derived)
    changes: dict[UUID, dict[str, Any]] = {}
    for known in shots:
        media_id = known.shot.media_id
        new = {**columns[media_id], "event_id": moved.get(media_id, known.event_id)}
        if any(new[name] != getattr(known, name) for name in (*_DERIVED, "event_id")):
            changes[media_id] = new
    await event_rows.change_media(session, changes)
