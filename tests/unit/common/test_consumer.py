import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.consumer import Consumer
from varanger.common.errors import BadMessage, DependencyDown
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, QcRoundRequested, ReviewRecorded, TrainingRequested
from varanger.common.ports.bus import Bus, Delivery, OnDelivery, Subscription
from varanger.common.telemetry.health import Progress
from varanger.common.topology import DEAD_LETTERS, INGEST, QC, TRAINER, Queue
from varanger.common.words import Lane

DELAYS = (0.01, 0.02)


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus(DELAYS)
    await bus.start()
    yield bus
    await bus.close()


def message() -> Envelope:
    return Envelope.wrap(QcRoundRequested(round_id=new_id()), project_id="p", producer="test/1")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


class Recorded:
    """A handler that remembers, and fails as told."""

    def __init__(self, fault: Callable[[Sequence[Envelope]], Exception | None] = lambda _: None) -> None:
        self.batches: list[list[Envelope]] = []
        self.done: list[Envelope] = []
        self.fault = fault
        self.answers: list[Envelope] = []

    async def __call__(self, envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
        self.batches.append(list(envelopes))
        fault = self.fault(envelopes)
        if fault is not None:
            raise fault
        self.done.extend(envelopes)
        return self.answers


async def consuming(bus: MemoryBus, handler: Recorded, **options: int) -> Consumer:
    consumer = Consumer("test", bus, (QC,), handler, Progress(1), retry_delays_s=DELAYS, **options)
    await consumer.start()
    return consumer


async def dead_letters(bus: MemoryBus) -> list[Delivery]:
    found: list[Delivery] = []

    async def take(delivery: Delivery) -> None:
        found.append(delivery)
        await delivery.ack()

    await bus.consume(DEAD_LETTERS, take, prefetch=10)
    return found


async def test_a_batch_is_handled_once_and_acknowledged_after_its_answers_are_out(bus: MemoryBus) -> None:
    handler = Recorded()
    handler.answers = [Envelope.wrap(TrainingRequested(run_id=new_id()), project_id="p", producer="test/1")]
    sent = [message() for _ in range(5)]
    await bus.publish(sent)
    consumer = await consuming(bus, handler, batch=8)
    await until(lambda: len(handler.done) == 5)
    await consumer.stop()
    assert [one.message_id for one in handler.done] == [one.message_id for one in sent]
    assert await bus.depth(TRAINER.name) == len(handler.batches)
    assert await bus.depth(QC.name) == 0


async def test_one_bad_message_never_stops_its_batch(bus: MemoryBus) -> None:
    sent = [message() for _ in range(6)]
    poison = sent[3].message_id
    handler = Recorded(
        lambda batch: BadMessage("no such thing") if any(e.message_id == poison for e in batch) else None
    )
    dead = await dead_letters(bus)
    await bus.publish(sent)
    consumer = await consuming(bus, handler, batch=6)
    await until(lambda: len(handler.done) == 5 and len(dead) == 1)
    await consumer.stop()
    assert {e.message_id for e in handler.done} == {e.message_id for e in sent} - {poison}
    assert dead[0].headers["x-reason"] == "BadMessage: no such thing"
    assert dead[0].headers["x-queue"] == QC.name


async def test_bytes_that_are_no_message_become_a_dead_letter(bus: MemoryBus) -> None:
    dead = await dead_letters(bus)
    await bus.publish_raw(QC.name, b"\xff not json", {})
    consumer = await consuming(bus, Recorded())
    await until(lambda: len(dead) == 1)
    await consumer.stop()
    assert dead[0].body == b"\xff not json"


async def test_an_unknown_fault_is_retried_with_growing_attempts_and_then_dead(bus: MemoryBus) -> None:
    handler = Recorded(lambda _: RuntimeError("boom"))
    dead = await dead_letters(bus)
    await bus.publish([message()])
    consumer = await consuming(bus, handler)
    await until(lambda: len(dead) == 1)
    await consumer.stop()
    assert [batch[0].attempt for batch in handler.batches] == [1, 2, 3]
    assert dead[0].headers["x-reason"] == "gave up after 3 attempts: RuntimeError: boom"


async def test_what_failed_before_runs_alone(bus: MemoryBus) -> None:
    failing = message()
    handler = Recorded(lambda batch: RuntimeError("once") if batch[0].attempt == 1 and failing in batch else None)
    await bus.publish([failing])
    consumer = await consuming(bus, handler, batch=8)
    await until(lambda: len(handler.batches) >= 1)
    await bus.publish([message() for _ in range(3)])
    await until(lambda: len(handler.done) == 4)
    await consumer.stop()
    assert [len(batch) for batch in handler.batches if batch[0].attempt > 1] == [1]


async def test_while_a_dependency_is_down_nothing_is_counted_and_nothing_lost(
    bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("varanger.common.retry.PAUSE_FIRST_S", 0.001)
    faults = iter([DependencyDown("store")] * 4)
    handler = Recorded(lambda _: next(faults, None))
    await bus.publish([message()])
    consumer = await consuming(bus, handler)
    await until(lambda: len(handler.done) == 1)
    await consumer.stop()
    assert [batch[0].attempt for batch in handler.batches] == [1] * 5


async def test_stopping_while_a_dependency_is_down_gives_the_work_back(bus: MemoryBus) -> None:
    handler = Recorded(lambda _: DependencyDown("store"))
    await bus.publish([message(), message()])
    consumer = await consuming(bus, handler)
    await until(lambda: bool(handler.batches))
    await consumer.stop()
    assert await bus.depth(QC.name) == 2


async def test_live_goes_first_and_bulk_still_gets_its_turn(bus: MemoryBus) -> None:
    both = (Queue(INGEST[0].name, ()), Queue(INGEST[1].name, ()))
    order: list[str] = []

    async def handler(envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
        order.extend(e.lane for e in envelopes)
        return ()

    for lane, queue in zip((Lane.LIVE, Lane.BULK), both, strict=True):
        for _ in range(30):
            envelope = Envelope.wrap(
                ReviewRecorded(review_id=new_id(), media_id=new_id()), project_id="p", producer="t/1", lane=lane
            )
            await bus.publish_raw(queue.name, envelope.to_body(), {})
    consumer = Consumer("test", bus, both, handler, Progress(1), prefetch=64)
    await consumer.start()
    await until(lambda: len(order) == 60)
    await consumer.stop()
    first = order[:31]
    assert first.count(Lane.BULK) in {3, 4}
    assert set(order[34:]) == {Lane.BULK}


async def test_liveness_watches_progress_not_sockets() -> None:
    progress = Progress(stall_after_s=0.0)  # any time at all without progress is too long
    assert progress.alive
    progress.take()
    await asyncio.sleep(0.001)
    assert not progress.alive
    progress.pause(True)
    assert progress.alive
    progress.pause(False)
    progress.end()
    assert progress.alive


async def test_a_time_that_overflows_is_a_bad_message_and_no_worker_dies(bus: MemoryBus) -> None:
    dead = await dead_letters(bus)
    broken = json.loads(message().to_body()) | {"occurred_at": "0001-01-01T00:00:00+05:00"}
    await bus.publish_raw(QC.name, json.dumps(broken).encode(), {})
    await bus.publish([message()])
    handler = Recorded()
    consumer = await consuming(bus, handler)
    await until(lambda: len(handler.done) == 1 and len(dead) == 1)
    await consumer.stop()
    assert dead[0].headers["x-reason"].startswith("BadMessage: occurred_at")


async def test_an_ending_that_fails_ends_no_worker(bus: MemoryBus) -> None:
    """A retry delay the bus has no queue for, as when settings of bus and consumer differ."""
    handler = Recorded(lambda batch: RuntimeError("boom") if batch[0].project_id == "bad" else None)
    dead = await dead_letters(bus)
    await bus.publish([message().model_copy(update={"project_id": "bad"})])
    consumer = Consumer("test", bus, (QC,), handler, Progress(1), retry_delays_s=(77.0,))
    await consumer.start()
    await until(lambda: len(dead) == 1)
    await bus.publish([message()])
    await until(lambda: len(handler.done) == 1)
    await consumer.stop()
    assert "no retry queue waits 77 s" in dead[0].headers["x-reason"]


async def test_a_recorder_sees_the_attempt_of_who_did_the_work(bus: MemoryBus) -> None:
    seen: list[int] = []

    async def handler(envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
        seen.extend(envelope.attempt for envelope in envelopes)
        if len(seen) == 1:
            raise RuntimeError("the recorder's own fault")
        return ()

    await bus.publish([message().model_copy(update={"attempt": 3})])
    consumer = Consumer("test", bus, (QC,), handler, Progress(1), retry_delays_s=DELAYS, count_tries=False)
    await consumer.start()
    await until(lambda: len(seen) == 2)
    await consumer.stop()
    assert seen == [3, 3]


async def test_a_start_that_came_half_way_is_continued_not_repeated(bus: MemoryBus) -> None:
    class HalfDown:
        """The bus, away at the second subscription."""

        def __init__(self) -> None:
            self.asked: list[str] = []

        async def consume(self, queue: str, on_delivery: OnDelivery, *, prefetch: int) -> Subscription:
            self.asked.append(queue)
            if len(self.asked) == 2:
                raise DependencyDown("broker")
            return await bus.consume(queue, on_delivery, prefetch=prefetch)

        def __getattr__(self, name: str) -> Any:
            return getattr(bus, name)

    half_down = HalfDown()
    consumer = Consumer("test", cast(Bus, half_down), INGEST, Recorded(), Progress(1))
    with pytest.raises(DependencyDown):
        await consumer.start()
    await consumer.start()
    await consumer.stop()
    assert half_down.asked == [INGEST[0].name, INGEST[1].name, INGEST[1].name]
