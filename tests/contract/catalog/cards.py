"""Cards of media for the tests of times and events: their facts, what must come of them, and what came."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from varanger.api.application.apply_deployments import DeploymentApplier
from varanger.api.application.change_deployment import change_deployment
from varanger.api.application.record_facts import fact_recorder
from varanger.api.domain.events import Shot, bursts
from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import Deployment, Event, Media, Project, Upload
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaMetadata, MediaStored, Message
from varanger.common.words import CaptureMethod

NOON = datetime(2026, 6, 1, 12)
Partition = set[tuple[str, frozenset[UUID]]]


def metadata(seconds: float | None, numbers: str = "", event: int | None = None, lapse: bool = False) -> MediaMetadata:
    number, length = (int(word) for word in (numbers or "0 0").split())
    moment = None if seconds is None else NOON + timedelta(seconds=seconds)
    return MediaMetadata(
        captured_at=moment and moment.replace(microsecond=0),
        sub_seconds=(moment.microsecond / 1e6 or None) if moment else None,
        capture_method=CaptureMethod.TIME_LAPSE if lapse else CaptureMethod.ACTIVITY_DETECTION,
        sequence_number=number or None,
        sequence_length=length or None,
        event_number=event,
    )


async def accept(
    catalog: Catalog, deployment: str, said: Sequence[MediaMetadata], *, gap: float = 60.0
) -> list[Message]:
    """A deployment with uploads, and the facts that ingest would tell of them."""
    ids = [new_id() for _ in said]
    async with catalog.writing() as session:
        if await session.get(Project, "p") is None:
            session.add(Project(project_id="p"))
        if await session.get(Deployment, ("p", deployment)) is None:
            session.add(Deployment(project_id="p", deployment_id=deployment, location_id=deployment, event_gap_s=gap))
        for media_id in ids:
            session.add(
                Upload(
                    media_id=media_id,
                    project_id="p",
                    deployment_id=deployment,
                    sha256=sha256(media_id),
                    bytes=1,
                    original_name="IMG_0001.JPG",
                    incoming_key=f"incoming/p/{media_id}",
                    lane="live",
                    state="pending",
                )
            )
    return [
        MediaStored(
            media_id=media_id,
            deployment_id=deployment,
            key=f"media/p/{deployment}/{media_id}.jpg",
            view_key=f"views/p/{media_id}.jpg",
            name=f"{media_id}.jpg",
            sha256=sha256(media_id),
            bytes=1,
            media_type="image/jpeg",
            width=4,
            height=3,
            metadata=each,
        )
        for media_id, each in zip(ids, said, strict=True)
    ]


def sha256(media_id: UUID) -> str:
    return hashlib.sha256(media_id.bytes).hexdigest()


async def record(catalog: Catalog, facts: Sequence[Message]) -> None:
    await fact_recorder(catalog)([Envelope.wrap(fact, project_id="p", producer="test/1") for fact in facts])


def expected(deployment: str, facts: Sequence[Message], gap: float) -> Partition:
    """What the pure rule makes of all of them at once."""
    shots = []
    for fact in facts:
        assert isinstance(fact, MediaStored)
        said = fact.metadata
        at = said.captured_at and said.captured_at + timedelta(seconds=said.sub_seconds or 0)
        shots.append(
            Shot(
                media_id=fact.media_id,
                sha256=fact.sha256,
                at=at,
                capture_method=said.capture_method,
                serial_number=said.serial_number,
                sequence_number=said.sequence_number or 0,
                sequence_length=said.sequence_length or 0,
                event_number=said.event_number,
            )
        )
    return {
        (burst.event_id, frozenset(shot.media_id for shot in burst.members)) for burst in bursts(deployment, shots, gap)
    }


async def partition(catalog: Catalog, deployment: str) -> Partition:
    """The events as media say them; the event table must tell the same."""
    members: dict[str, set[UUID]] = {}
    times: dict[str, list[datetime]] = {}
    async with catalog.reading() as session:
        for media in await session.scalars(select(Media).where(col(Media.deployment_id) == deployment)):
            assert media.event_id is not None
            members.setdefault(media.event_id, set()).add(media.media_id)
            times.setdefault(media.event_id, []).extend([media.captured_at_utc] if media.captured_at_utc else [])
        rows = (await session.scalars(select(Event).where(col(Event.deployment_id) == deployment))).all()
    assert {row.event_id: row.media_count for row in rows} == {name: len(ids) for name, ids in members.items()}
    for row in rows:
        known = times[row.event_id]
        assert (row.event_start, row.event_end) == (min(known, default=None), max(known, default=None))
    return {(event_id, frozenset(ids)) for event_id, ids in members.items()}


async def follow(catalog: Catalog, chunk: int = 1000) -> int:
    """Run the recorder's loop until it has nothing to do; in how many steps."""
    applier, steps = DeploymentApplier(catalog, "test", chunk), 0
    while await applier.step():
        steps += 1
    return steps


async def change(catalog: Catalog, deployment: str, **fields: Any) -> None:
    async with catalog.writing() as session:
        assert await change_deployment(session, "p", deployment, fields, by="hb") is not None
