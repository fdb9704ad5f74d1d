"""What must not stop the flow: rows nobody takes, letters nobody can write, answers in odd order. On both catalogs."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from varanger.api.application.dead_letters import open_dead_letters, replay
from varanger.api.application.reconcile import reconcile
from varanger.api.application.record_facts import fact_recorder
from varanger.api.application.relay_outbox import relay_once
from varanger.api.application.take_dead_letters import DeadLetterTaker
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.catalog import Catalog
from varanger.common.catalog.outbox import send
from varanger.common.catalog.tables import Deployment, Job, Outbox, PredictionRow, Project, Release, Upload
from varanger.common.clock import now
from varanger.common.errors import RevisionUnknown
from varanger.common.ids import new_id
from varanger.common.messages import (
    ClassificationRequested,
    Envelope,
    MediaClassified,
    MediaFailed,
    MediaMetadata,
    MediaStored,
    MediaUploaded,
    Message,
    QcRoundRequested,
    ReleaseRegistered,
)
from varanger.common.telemetry.health import Progress
from varanger.common.topology import DEAD_LETTERS, INFERENCE, INGEST, QC, RELEASES
from varanger.common.words import DeploymentSnapshot, Prediction, Purpose

IN_FORCE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus((0.01,))
    await bus.start()
    yield bus
    await bus.close()


async def make_project(catalog: Catalog, release_id: str | None = IN_FORCE) -> None:
    async with catalog.writing() as session:
        session.add(Project(project_id="p", release_id=release_id))
        session.add(Deployment(project_id="p", deployment_id="d", location_id="site"))


async def accept(catalog: Catalog, *, minutes_ago: float = 0.0, state: str = "pending") -> UUID:
    at = now() - timedelta(minutes=minutes_ago)
    upload = Upload(
        project_id="p",
        deployment_id="d",
        sha256=hashlib.sha256(new_id().bytes).hexdigest(),
        bytes=10,
        original_name="IMG.JPG",
        incoming_key="incoming/p/x",
        lane="live",
        state=state,
        received_at=at,
        progress_at=at,
    )
    async with catalog.writing() as session:
        session.add(upload)
    return upload.media_id


def say(fact: Message, *, attempt: int = 1) -> Envelope:
    return Envelope.wrap(fact, project_id="p", producer="test/1").model_copy(update={"attempt": attempt})


def uploaded(media_id: UUID) -> MediaUploaded:
    return MediaUploaded(
        media_id=media_id,
        deployment=DeploymentSnapshot(deployment_id="d", location_id="site"),
        incoming_key="incoming/p/x",
        sha256="0" * 64,
        bytes=10,
        original_name="IMG.JPG",
        uploaded_at=now(),
    )


def stored(media_id: UUID) -> MediaStored:
    return MediaStored(
        media_id=media_id,
        deployment_id="d",
        key=f"media/p/d/{media_id}.jpg",
        view_key=f"views/p/{media_id}.jpg",
        name=f"{media_id}.jpg",
        sha256="0" * 64,
        bytes=10,
        media_type="image/jpeg",
        width=4,
        height=3,
        metadata=MediaMetadata(),
    )


def requested(media_id: UUID, release_id: str, purpose: Purpose) -> ClassificationRequested:
    return ClassificationRequested(
        media_id=media_id, release_id=release_id, purpose=purpose, key="k", view_key="v", sha256="0" * 64
    )


def classified(media_id: UUID, release_id: str = IN_FORCE, purpose: Purpose = Purpose.INTAKE) -> MediaClassified:
    answer = Prediction(label="vole", confidence=0.9, route="classifier")
    return MediaClassified(media_id=media_id, release_id=release_id, purpose=purpose, prediction=answer)


def failed(media_id: UUID) -> MediaFailed:
    return MediaFailed(media_id=media_id, release_id=IN_FORCE, purpose=Purpose.INTAKE, reason="no view")


async def state_of(catalog: Catalog, media_id: UUID) -> str:
    async with catalog.reading() as session:
        upload = await session.get(Upload, media_id)
    assert upload is not None
    return upload.state


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def bury(catalog: Catalog, bus: MemoryBus, body: bytes, queue: str, reason: str = "test") -> None:
    """Put a letter into the dead letters and let the taker record it."""
    before = len(await open_dead_letters(catalog))
    taker = DeadLetterTaker(bus, catalog, Progress(60))
    headers = {"x-reason": reason, "x-queue": queue, "x-attempt": "4", "x-message-id": str(new_id())}
    await bus.publish_raw(DEAD_LETTERS, body, headers)
    await taker.start()
    async with asyncio.timeout(10):
        while len(await open_dead_letters(catalog)) == before:
            await asyncio.sleep(0.005)
    await taker.stop()


async def unpublished(catalog: Catalog) -> list[str]:
    async with catalog.reading() as session:
        return list((await session.scalars(select(col(Outbox.type)).where(col(Outbox.published_at).is_(None)))).all())


async def test_a_row_nobody_takes_holds_up_no_other(catalog: Catalog, bus: MemoryBus) -> None:
    await make_project(catalog)
    round_id = new_id()
    async with catalog.writing() as session:
        common = {"project_id": "p", "owner": "api", "lane": "live"}
        session.add(Outbox(message_id=new_id(), type="lost", body=b"x", raw_queue="no.such.queue", **common))
        session.add(Outbox(message_id=new_id(), type="newer", body=b'{"type": "of.tomorrow.v9"}', **common))
        send(session, "api", [say(QcRoundRequested(round_id=round_id))])
    await relay_once(catalog, bus)
    assert sorted(await unpublished(catalog)) == ["lost", "newer"]
    assert await bus.depth(QC.name) == 1
    await relay_once(catalog, bus)
    assert await bus.depth(QC.name) == 1, "what went out is not sent again with what did not"


async def test_a_letter_from_no_queue_of_ours_is_kept_and_not_replayed(catalog: Catalog, bus: MemoryBus) -> None:
    await bury(catalog, bus, b"?", "queue.of.yesterday")
    (letter,) = await open_dead_letters(catalog)
    assert await replay(catalog, [letter.dead_letter_id], by="test") == 0
    assert await unpublished(catalog) == []


async def test_a_letter_with_a_nul_or_an_impossible_time_is_recorded(catalog: Catalog, bus: MemoryBus) -> None:
    broken = say(QcRoundRequested(round_id=new_id())).to_body()
    head, _, tail = broken.partition(b'"occurred_at":"')
    body = head + b'"occurred_at":"0001-01-01T00:00:00+05:00' + tail[tail.index(b'"') :]
    await bury(catalog, bus, body, QC.name, "payload.\0: no such field")
    (letter,) = await open_dead_letters(catalog)
    assert (letter.body, letter.reason) == (body, "payload.\ufffd: no such field")


async def test_a_letter_that_cannot_be_recorded_waits_and_the_next_is(
    catalog: Catalog, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = catalog.writing
    monkeypatch.setattr(catalog, "writing", lambda: (_ for _ in ()).throw(RevisionUnknown("once")))
    taker = DeadLetterTaker(bus, catalog, Progress(60))
    await bus.publish_raw(DEAD_LETTERS, b"first", {"x-queue": QC.name})
    await taker.start()
    for _ in range(50):
        await asyncio.sleep(0)
    monkeypatch.setattr(catalog, "writing", writing)
    await bus.publish_raw(DEAD_LETTERS, b"second", {"x-queue": QC.name})
    async with asyncio.timeout(10):
        while len(await open_dead_letters(catalog)) < 2:
            await asyncio.sleep(0.005)
    await taker.stop()
    assert {letter.body for letter in await open_dead_letters(catalog)} == {b"first", b"second"}


async def test_a_letter_about_ingest_says_nothing_once_the_media_is_stored(catalog: Catalog, bus: MemoryBus) -> None:
    """Two copies of an upload's message: one dies, the other succeeds."""
    await make_project(catalog, release_id=None)
    media_id = await accept(catalog)
    await bury(catalog, bus, say(uploaded(media_id)).to_body(), INGEST[0].name)
    assert await state_of(catalog, media_id) == "failed"
    await fact_recorder(catalog)([say(stored(media_id))])
    assert await state_of(catalog, media_id) == "media"


async def test_a_letter_about_a_shadow_is_no_failure_of_the_media(catalog: Catalog, bus: MemoryBus) -> None:
    await make_project(catalog)
    media_id = await accept(catalog)
    await fact_recorder(catalog)([say(stored(media_id))])
    await bury(catalog, bus, say(requested(media_id, OTHER, Purpose.SHADOW)).to_body(), INFERENCE[0].name)
    assert await state_of(catalog, media_id) == "pending"


async def test_a_shadow_takes_no_media_its_intake(catalog: Catalog) -> None:
    await make_project(catalog)
    other, same = await accept(catalog), await accept(catalog)
    record = fact_recorder(catalog)
    await record([say(classified(other, OTHER, Purpose.SHADOW)), say(classified(same, IN_FORCE, Purpose.SHADOW))])
    await record([say(stored(other)), say(stored(same))])
    assert await state_of(catalog, other) == "pending"
    assert await state_of(catalog, same) == "media", "the release in force has answered it already"
    assert await unpublished(catalog) == ["classification.requested.v1"]


async def test_what_failed_late_and_is_asked_for_again_may_fail_again(catalog: Catalog, bus: MemoryBus) -> None:
    await make_project(catalog)
    media_id = await accept(catalog)
    record = fact_recorder(catalog)
    await record([say(stored(media_id)), say(failed(media_id), attempt=3)])
    await bury(catalog, bus, say(requested(media_id, IN_FORCE, Purpose.INTAKE)).to_body(), INFERENCE[0].name)
    letters = await open_dead_letters(catalog)
    await replay(catalog, [letter.dead_letter_id for letter in letters], by="test")
    assert await state_of(catalog, media_id) == "pending"
    await record([say(failed(media_id), attempt=1)])
    assert await state_of(catalog, media_id) == "failed"


async def test_a_round_whose_request_died_ends_and_a_replay_begins_it_again(catalog: Catalog, bus: MemoryBus) -> None:
    await make_project(catalog)
    job = Job(project_id="p", kind="qc_round", owner="qc", created_at=now() - timedelta(hours=1))
    async with catalog.writing() as session:
        session.add(job)
    await bury(catalog, bus, say(QcRoundRequested(round_id=job.job_id)).to_body(), QC.name, "boom")
    assert await reconcile(catalog, bus, now()) == 0, "a letter is not asked for for ever"
    async with catalog.reading() as session:
        found = await session.get(Job, job.job_id)
    assert found is not None
    assert (found.state, found.message) == ("failed", "dead letter: boom")
    assert found.ended_at is not None
    (letter,) = await open_dead_letters(catalog)
    await replay(catalog, [letter.dead_letter_id], by="test")
    async with catalog.reading() as session:
        found = await session.get(Job, job.job_id)
    assert found is not None
    assert (found.state, found.ended_at) == ("requested", None)


async def test_a_run_that_waits_is_not_sent_again_and_again(catalog: Catalog, bus: MemoryBus) -> None:
    await make_project(catalog)
    async with catalog.writing() as session:
        session.add(Job(project_id="p", kind="training_run", owner="trainer", created_at=now() - timedelta(hours=1)))
    assert await reconcile(catalog, bus, now() - timedelta(minutes=10)) == 0


async def test_in_a_steady_stream_what_was_lost_is_still_found(catalog: Catalog, bus: MemoryBus) -> None:
    """Queues that are never empty and an outbox that always holds something hide no loss; a backlog is none."""
    await make_project(catalog)
    lost = await accept(catalog, minutes_ago=60)
    passed = await accept(catalog, minutes_ago=5)
    waits = await accept(catalog, minutes_ago=12)
    lost_answer = await accept(catalog, minutes_ago=60)
    record = fact_recorder(catalog)
    await record([say(stored(passed)), say(stored(lost_answer))])
    await record([say(classified(passed))])
    async with catalog.writing() as session:
        await session.execute(update(Outbox).values(published_at=now()))
        await session.execute(
            update(PredictionRow)
            .where(col(PredictionRow.media_id) == lost_answer)
            .values(progress_at=now() - timedelta(hours=1))
        )
        send(session, "api", [say(QcRoundRequested(round_id=new_id()))])
    for queue, body in ((INGEST[0], uploaded(waits)), (INFERENCE[0], requested(waits, IN_FORCE, Purpose.INTAKE))):
        await bus.publish_raw(queue.name, say(body).to_body(), {})
    for _ in range(2):
        await reconcile(catalog, bus, now() - timedelta(minutes=10))
    async with catalog.reading() as session:
        rows = await session.scalars(select(Outbox).where(col(Outbox.published_at).is_(None)))
        again = [Envelope.from_body(row.body).payload for row in rows]
    assert {body.media_id for body in again if isinstance(body, MediaUploaded)} == {lost}
    assert [body.media_id for body in again if isinstance(body, ClassificationRequested)] == [lost_answer]


async def test_a_trained_release_whose_message_was_lost_is_told_of_again(catalog: Catalog, bus: MemoryBus) -> None:
    """As when the embedded mode stops between the trainer's message and its row."""
    await make_project(catalog)
    known = ReleaseRegistered(release_id=IN_FORCE, manifest={})
    lost = ReleaseRegistered(release_id=OTHER, manifest={})
    async with catalog.writing() as session:
        session.add(Release(project_id="p", release_id=IN_FORCE, name="known", kind="classifier"))
        send(session, "trainer", [say(known), say(lost)])
    while await relay_once(catalog, bus) or await unpublished(catalog):
        pass
    restarted = MemoryBus((0.01,))
    await restarted.start()
    assert await reconcile(catalog, restarted, now()) == 1
    await relay_once(catalog, restarted)
    assert await restarted.depth(RELEASES.name) == 1
    await restarted.close()
