"""The no-loss flow on both catalogs: facts in any order, any number of times; counts that add up; nothing forgotten."""

import asyncio
import hashlib
import itertools
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from varanger.api.application.dead_letters import open_dead_letters, record_dead_letter, replay
from varanger.api.application.promote_release import PromotionRefused, promote, rollback
from varanger.api.application.reconcile import reconcile, send_everything_again
from varanger.api.application.record_facts import fact_recorder
from varanger.api.application.record_releases import register, release_recorder
from varanger.api.application.relay_outbox import relay_once
from varanger.api.application.upload_fact import upload_fact
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.catalog import Catalog
from varanger.common.catalog.outbox import send
from varanger.common.catalog.tables import Deployment, Media, MediaHistory, Outbox, PredictionRow, Project, Upload
from varanger.common.clock import now
from varanger.common.errors import BadMessage
from varanger.common.ids import new_id
from varanger.common.messages import (
    Envelope,
    MediaClassified,
    MediaFailed,
    MediaMetadata,
    MediaQuarantined,
    MediaStored,
    Message,
    ReleasePromoted,
    ReleaseRegistered,
)
from varanger.common.ports.bus import Delivery
from varanger.common.releases import ReleaseManifest, StageModel
from varanger.common.topology import DEAD_LETTERS, INFERENCE, INGEST
from varanger.common.words import Lane, Observation, Prediction, Purpose


def manifest(name: str) -> ReleaseManifest:
    sha = hashlib.sha256(name.encode()).hexdigest()
    stage = StageModel(sha256=sha, bytes=1, classes=("empty", "vole"), input_size=32)
    return ReleaseManifest(
        name=name, kind="classifier", description="", licence="CC0-1.0", stages={"classifier": stage}
    )


FIRST, SECOND = manifest("first"), manifest("second")


async def make_project(catalog: Catalog, *releases: ReleaseManifest) -> None:
    """A project with one deployment; the first release is in force."""
    async with catalog.writing() as session:
        session.add(Project(project_id="p"))
        session.add(Deployment(project_id="p", deployment_id="d", location_id="site"))
    for release in releases:
        fact = ReleaseRegistered(release_id=release.release_id, manifest=release.model_dump(mode="json"), promote=True)
        async with catalog.writing() as session:
            await register(session, "p", fact)


async def accept(catalog: Catalog, count: int = 1) -> list[UUID]:
    """Upload rows as the gateway writes them."""
    async with catalog.writing() as session:
        uploads = [
            Upload(
                project_id="p",
                deployment_id="d",
                sha256=hashlib.sha256(f"{i}-{new_id()}".encode()).hexdigest(),
                bytes=10,
                original_name=f"IMG_{i}.JPG",
                incoming_key=f"incoming/p/{i}",
                lane="live",
                state="pending",
            )
            for i in range(count)
        ]
        session.add_all(uploads)
        return [upload.media_id for upload in uploads]


def say(fact: Message, *, attempt: int = 1) -> Envelope:
    return Envelope.wrap(fact, project_id="p", producer="test/1").model_copy(update={"attempt": attempt})


def stored(media_id: UUID) -> MediaStored:
    return MediaStored(
        media_id=media_id,
        deployment_id="d",
        key=f"media/p/d/{media_id}.jpg",
        view_key=f"views/p/{media_id}.jpg",
        name=f"site_nodate_{media_id.hex[:12]}.jpg",
        sha256=hashlib.sha256(media_id.bytes).hexdigest(),
        bytes=10,
        media_type="image/jpeg",
        width=4,
        height=3,
        metadata=MediaMetadata(make="RECONYX"),
    )


def classified(
    media_id: UUID, release: ReleaseManifest = FIRST, label: str = "vole", confidence: float = 0.9
) -> Message:
    prediction = Prediction(
        label=label, confidence=confidence, route="classifier", observations=(Observation(taxon=label, count=1),)
    )
    return MediaClassified(
        media_id=media_id, release_id=release.release_id, purpose=Purpose.INTAKE, prediction=prediction
    )


def failed(media_id: UUID) -> MediaFailed:
    return MediaFailed(media_id=media_id, release_id=FIRST.release_id, purpose=Purpose.INTAKE, reason="no view")


def quarantined(media_id: UUID) -> MediaQuarantined:
    return MediaQuarantined(
        media_id=media_id,
        deployment_id="d",
        key=f"quarantine/p/{media_id}",
        sha256="0" * 64,
        bytes=10,
        reason="empty_file",
    )


async def states(catalog: Catalog) -> Counter[str]:
    async with catalog.reading() as session:
        return Counter((await session.scalars(select(col(Upload.state)))).all())


async def outbox_types(catalog: Catalog) -> Counter[str]:
    async with catalog.reading() as session:
        return Counter((await session.scalars(select(col(Outbox.type)))).all())


async def drain(catalog: Catalog, bus: MemoryBus) -> None:
    while await relay_once(catalog, bus):
        pass


async def test_a_stored_media_is_asked_for_and_its_answer_shown(catalog: Catalog) -> None:
    await make_project(catalog, FIRST)
    (media_id,) = await accept(catalog)
    record = fact_recorder(catalog)
    await record([say(stored(media_id))])
    assert await states(catalog) == {"pending": 1}
    assert (await outbox_types(catalog))["classification.requested.v1"] == 1
    await record([say(classified(media_id))])
    assert await states(catalog) == {"media": 1}
    async with catalog.reading() as session:
        media = await session.get(Media, media_id)
        assert media is not None
        assert (media.label, media.confidence, media.route, media.release_id) == (
            "vole",
            0.9,
            "classifier",
            FIRST.release_id,
        )
        history = await session.scalars(select(MediaHistory).order_by(col(MediaHistory.history_id)))
        assert [line.what for line in history] == ["stored", "classified"]


async def test_any_order_and_any_number_of_times_give_the_same_catalog(catalog: Catalog) -> None:
    await make_project(catalog, FIRST)
    record = fact_recorder(catalog)

    def facts(media_id: UUID) -> list[Envelope]:
        return [
            say(stored(media_id)),
            say(failed(media_id)),
            say(classified(media_id, confidence=0.5), attempt=1),
            say(classified(media_id, confidence=0.8), attempt=2),
        ]

    orders = list(itertools.permutations(range(4)))
    ids = await accept(catalog, len(orders))
    for media_id, order in zip(ids, orders, strict=True):
        told = facts(media_id)
        for index in order:
            await record([told[index]])
            await record([told[index]])
    async with catalog.reading() as session:
        shown = (await session.execute(select(col(Media.label), col(Media.confidence)))).all()
        answers = (await session.scalars(select(col(PredictionRow.state)))).all()
    assert [tuple(row) for row in shown] == [("vole", 0.8)] * len(orders)
    assert list(answers) == ["classified"] * len(orders)
    assert await states(catalog) == {"media": len(orders)}


async def test_a_batch_of_many_is_one_transaction_and_a_message_twice_in_it_counts_once(catalog: Catalog) -> None:
    await make_project(catalog, FIRST)
    ids = await accept(catalog, 40)
    record = fact_recorder(catalog)
    facts = [say(stored(media_id)) for media_id in ids]
    await record(facts + facts[:10])
    answers = [say(classified(i)) for i in ids[:20]] + [say(failed(i)) for i in ids[20:30]]
    await record(answers)
    assert await states(catalog) == {"media": 20, "failed": 10, "pending": 10}
    assert (await outbox_types(catalog))["classification.requested.v1"] == 40


async def test_a_fact_of_no_known_upload_is_a_bad_message_and_changes_nothing(catalog: Catalog) -> None:
    await make_project(catalog, FIRST)
    (media_id,) = await accept(catalog)
    stray = new_id()
    with pytest.raises(BadMessage, match=str(stray)):
        await fact_recorder(catalog)([say(stored(media_id)), say(stored(stray))])
    assert await states(catalog) == {"pending": 1}
    await fact_recorder(catalog)([say(stored(media_id))])
    async with catalog.reading() as session:
        assert len((await session.scalars(select(Media))).all()) == 1


async def test_quarantine_never_overrides_media(catalog: Catalog) -> None:
    await make_project(catalog)
    first, second = await accept(catalog, 2)
    record = fact_recorder(catalog)
    await record([say(quarantined(first)), say(stored(second)), say(quarantined(second))])
    assert await states(catalog) == {"quarantined": 1, "media": 1}


async def test_without_a_release_media_wait_and_a_promotion_asks_for_them(catalog: Catalog) -> None:
    await make_project(catalog)
    ids = await accept(catalog, 3)
    await fact_recorder(catalog)([say(stored(i)) for i in ids])
    assert await states(catalog) == {"media": 3}
    assert (await outbox_types(catalog))["classification.requested.v1"] == 0
    async with catalog.writing() as session:
        fact = ReleaseRegistered(release_id=FIRST.release_id, manifest=FIRST.model_dump(mode="json"), promote=True)
        await register(session, "p", fact)
    promoted = ReleasePromoted(release_id=FIRST.release_id)
    await release_recorder(catalog)([say(promoted)])
    await release_recorder(catalog)([say(promoted)])
    assert await states(catalog) == {"pending": 3}
    assert (await outbox_types(catalog))["classification.requested.v1"] == 3


async def test_promotion_is_a_compare_and_swap_with_a_way_back(catalog: Catalog) -> None:
    await make_project(catalog, FIRST, SECOND)
    async with catalog.writing() as session:
        await promote(session, "p", SECOND.release_id, expected=FIRST.release_id, by="test")
    with pytest.raises(PromotionRefused, match="look again"):
        async with catalog.writing() as session:
            await promote(session, "p", SECOND.release_id, expected=FIRST.release_id, by="test")
    with pytest.raises(PromotionRefused, match="not registered"):
        async with catalog.writing() as session:
            await promote(session, "p", "f" * 64, expected=SECOND.release_id, by="test")
    async with catalog.writing() as session:
        back = await rollback(session, "p", expected=SECOND.release_id, by="test")
    assert back.release_id == FIRST.release_id
    async with catalog.reading() as session:
        project = await session.get(Project, "p")
        assert project is not None
        assert project.release_id == FIRST.release_id


async def test_the_answer_of_the_release_put_in_force_last_is_shown(catalog: Catalog) -> None:
    await make_project(catalog, FIRST, SECOND)
    (media_id,) = await accept(catalog)
    record = fact_recorder(catalog)
    await record([say(stored(media_id)), say(classified(media_id, FIRST, "vole"))])
    async with catalog.writing() as session:
        await promote(session, "p", SECOND.release_id, expected=FIRST.release_id, by="test")
    await record([say(classified(media_id, SECOND, "lemming"))])
    async with catalog.reading() as session:
        media = await session.get(Media, media_id)
        assert media is not None
        assert media.label == "lemming"


async def test_a_promotion_and_the_way_back_change_what_answered_media_show(catalog: Catalog) -> None:
    await make_project(catalog, FIRST, SECOND)
    both, one = await accept(catalog, 2)
    first = [stored(both), stored(one), classified(both, FIRST, "vole"), classified(one, FIRST, "vole")]
    await fact_recorder(catalog)([say(fact) for fact in [*first, classified(both, SECOND, "lemming")]])

    async def shown(release: ReleaseManifest, previous: ReleaseManifest) -> list[tuple[str | None, str | None]]:
        fact = ReleasePromoted(release_id=release.release_id, previous_release_id=previous.release_id)
        await release_recorder(catalog)([say(fact)])
        async with catalog.reading() as session:
            media = [await session.get_one(Media, media_id) for media_id in (both, one)]
            return [(each.label, each.release_id) for each in media]

    async with catalog.writing() as session:
        await promote(session, "p", SECOND.release_id, expected=FIRST.release_id, by="test")
    assert await shown(SECOND, FIRST) == [("lemming", SECOND.release_id), ("vole", FIRST.release_id)]
    async with catalog.writing() as session:
        await rollback(session, "p", expected=SECOND.release_id, by="test")
    assert await shown(FIRST, SECOND) == [("vole", FIRST.release_id)] * 2
    assert await states(catalog) == {"media": 2}


async def test_the_relay_sends_live_before_bulk_and_marks_what_was_confirmed(catalog: Catalog) -> None:
    await make_project(catalog)
    ids = await accept(catalog, 2)
    bus = MemoryBus((0.01,))
    await bus.start()
    async with catalog.writing() as session:
        deployment = await session.get(Deployment, ("p", "d"))
        assert deployment is not None
        for media_id, lane in zip(ids, ("bulk", "live"), strict=True):
            upload = await session.get(Upload, media_id)
            assert upload is not None
            envelope = upload_fact(upload, deployment).model_copy(update={"lane": Lane(lane)})
            session.add(
                Outbox(
                    message_id=envelope.message_id,
                    project_id="p",
                    owner="api",
                    lane=lane,
                    type=envelope.type,
                    body=envelope.to_body(),
                )
            )
    await drain(catalog, bus)
    assert [await bus.depth(queue.name) for queue in INGEST] == [1, 1]
    await drain(catalog, bus)
    assert [await bus.depth(queue.name) for queue in INGEST] == [1, 1]
    await bus.close()


async def test_what_stands_still_in_no_queue_is_sent_again(catalog: Catalog) -> None:
    await make_project(catalog, FIRST)
    ids = await accept(catalog, 3)
    await fact_recorder(catalog)([say(stored(ids[0]))])
    bus = MemoryBus((0.01,))
    await bus.start()
    await drain(catalog, bus)  # the command for ids[0] lies in its queue
    await reconcile(catalog, bus, now())
    assert (await outbox_types(catalog))["media.uploaded.v1"] == 2
    assert (await outbox_types(catalog))["classification.requested.v1"] == 1, "a backlog is not a loss"
    await bus.close()
    restarted = MemoryBus((0.01,))
    await restarted.start()
    await drain(catalog, restarted)
    await reconcile(catalog, restarted, now())
    assert (await outbox_types(catalog))["classification.requested.v1"] == 2
    await drain(catalog, restarted)
    assert await restarted.depth(INFERENCE[0].name) == 1
    await restarted.close()


async def bury(catalog: Catalog, envelope: Envelope, queue: str, reason: str) -> None:
    """Let a message die on a memory bus and record it."""
    bus = MemoryBus((0.01,))
    await bus.start()
    dead: list[Delivery] = []

    async def give_up(delivery: Delivery) -> None:
        await delivery.dead_letter(reason)

    async def take(delivery: Delivery) -> None:
        dead.append(delivery)

    await bus.consume(queue, give_up, prefetch=1)
    await bus.consume(DEAD_LETTERS, take, prefetch=1)
    await bus.publish_raw(queue, envelope.to_body(), {})
    while not dead:
        await asyncio.sleep(0.005)
    await record_dead_letter(catalog, dead[0])
    await record_dead_letter(catalog, dead[0])
    await bus.close()


async def test_a_dead_ingest_counts_as_failed_and_a_replay_returns_it_to_pending(catalog: Catalog) -> None:
    await make_project(catalog, FIRST)
    (media_id,) = await accept(catalog)
    async with catalog.reading() as session:
        upload = await session.get(Upload, media_id)
        deployment = await session.get(Deployment, ("p", "d"))
        assert upload is not None
        assert deployment is not None
    message = upload_fact(upload, deployment)
    await bury(catalog, message, INGEST[0].name, "store was on fire")
    assert await states(catalog) == {"failed": 1}
    (letter,) = await open_dead_letters(catalog, "p")
    assert (letter.reason, letter.media_id, letter.queue) == ("store was on fire", media_id, INGEST[0].name)
    assert await replay(catalog, [letter.dead_letter_id], by="test") == 1
    assert await replay(catalog, [letter.dead_letter_id], by="test") == 0
    assert await states(catalog) == {"pending": 1}
    bus = MemoryBus((0.01,))
    await bus.start()
    await drain(catalog, bus)
    assert await bus.depth(INGEST[0].name) == 1
    await bus.close()
    await bury(catalog, message, INGEST[0].name, "again")
    assert [letter.reason for letter in await open_dead_letters(catalog)] == ["again"]
    await fact_recorder(catalog)([say(stored(media_id)), say(classified(media_id))])
    assert await states(catalog) == {"media": 1}


async def test_a_dead_classification_counts_as_failed_and_success_beats_it(catalog: Catalog) -> None:
    await make_project(catalog, FIRST)
    (media_id,) = await accept(catalog)
    await fact_recorder(catalog)([say(stored(media_id))])
    async with catalog.reading() as session:
        rows = (await session.scalars(select(Outbox).where(col(Outbox.type) == "classification.requested.v1"))).all()
    command = Envelope.from_body(rows[0].body)
    await bury(catalog, command, INFERENCE[0].name, "model answers garbage")
    assert await states(catalog) == {"failed": 1}
    (letter,) = await open_dead_letters(catalog)
    await replay(catalog, [letter.dead_letter_id], by="test")
    assert await states(catalog) == {"pending": 1}
    await fact_recorder(catalog)([say(classified(media_id))])
    assert await states(catalog) == {"media": 1}


async def test_a_dead_letter_of_any_bytes_is_kept(catalog: Catalog) -> None:
    bus = MemoryBus((0.01,))
    await bus.start()
    await bus.publish_raw(DEAD_LETTERS, b"\x00\xff", {"x-reason": "not JSON", "x-queue": "ingest.live"})
    taken: list[Delivery] = []

    async def take(delivery: Delivery) -> None:
        taken.append(delivery)

    await bus.consume(DEAD_LETTERS, take, prefetch=1)
    while not taken:
        await asyncio.sleep(0.005)
    await record_dead_letter(catalog, taken[0])
    (letter,) = await open_dead_letters(catalog)
    assert (letter.body, letter.reason, letter.project_id) == (b"\x00\xff", "not JSON", "")
    await bus.close()


async def test_a_bus_that_forgot_everything_is_told_all_that_is_open(catalog: Catalog) -> None:
    await make_project(catalog, FIRST)
    ids = await accept(catalog, 3)
    await fact_recorder(catalog)([say(stored(ids[0]))])
    before = MemoryBus((0.01,))
    await before.start()
    await drain(catalog, before)
    await before.close()  # with the command for ids[0] in its queue
    async with catalog.writing() as session:  # and one older message still in the outbox
        send(session, "api", [say(stored(new_id()))])
        await session.execute(update(Outbox).values(created_at=now() - timedelta(days=1)))
    await send_everything_again(catalog)
    after = MemoryBus((0.01,))
    await after.start()
    await drain(catalog, after)
    assert [await after.depth(INGEST[0].name), await after.depth(INFERENCE[0].name)] == [2, 1]
    await after.close()


async def test_what_inference_could_not_answer_can_be_replayed(catalog: Catalog) -> None:
    await make_project(catalog, FIRST)
    (media_id,) = await accept(catalog)
    record = fact_recorder(catalog)
    await record([say(stored(media_id)), say(failed(media_id))])
    assert await states(catalog) == {"failed": 1}
    (letter,) = await open_dead_letters(catalog, "p")
    assert (letter.reason, letter.queue, letter.media_id) == ("no view", INFERENCE[0].name, media_id)
    assert await replay(catalog, [letter.dead_letter_id], by="test") == 1
    assert await states(catalog) == {"pending": 1}
    bus = MemoryBus((0.01,))
    await bus.start()
    await drain(catalog, bus)
    assert await bus.depth(INFERENCE[0].name) == 2
    await bus.close()
    await record([say(failed(media_id))])
    assert await states(catalog) == {"failed": 1}
    assert [one.dead_letter_id for one in await open_dead_letters(catalog)] == [letter.dead_letter_id]
    await record([say(classified(media_id))])
    assert await states(catalog) == {"media": 1}
    assert await open_dead_letters(catalog) == []
