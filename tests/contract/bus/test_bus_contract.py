"""What every `Bus` promises (varanger.common.ports.bus), run on each adapter."""

import asyncio
import time
from typing import ClassVar
from uuid import uuid4

import pytest

from varanger.common.errors import DependencyDown, Unroutable
from varanger.common.messages import Envelope, Message, QcRoundRequested, ReleasePromoted
from varanger.common.topology import DEAD_LETTERS, DELIVERY_LIMIT
from varanger.common.words import Lane


class Nowhere(Message):
    TYPE: ClassVar[str] = "nowhere.v1"


def wrap(payload: Message | None = None, lane: Lane = Lane.LIVE) -> Envelope:
    return Envelope.wrap(
        payload or QcRoundRequested(round_id=uuid4()), project_id="varanger", producer="test/1", lane=lane
    )


async def settled(bus, queue: str, depth: int) -> bool:
    """Whether the queue comes to hold that many ready messages."""
    for _ in range(100):
        if await bus.depth(queue) == depth:
            return True
        await asyncio.sleep(0.1)
    return False


async def test_an_envelope_travels_whole(bus, inbox):
    sent = wrap()
    await bus.publish([sent])
    await bus.consume("qc", inbox, prefetch=1)
    delivery = await inbox.take()
    assert Envelope.from_body(delivery.body) == sent
    assert (delivery.queue, delivery.attempt, delivery.headers) == ("qc", 1, {})
    await delivery.ack()


async def test_the_trace_travels_as_a_header_too(bus, inbox):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await bus.publish([wrap().model_copy(update={"traceparent": trace})])
    await bus.consume("qc", inbox, prefetch=1)
    delivery = await inbox.take()
    assert delivery.headers == {"traceparent": trace}
    assert Envelope.from_body(delivery.body).traceparent == trace
    await delivery.ack()


async def test_both_lanes_reach_a_shared_queue_and_no_other(bus, inbox):
    release = ReleasePromoted(release_id="0" * 64)
    await bus.publish([wrap(release, Lane.LIVE), wrap(release, Lane.BULK)])
    await bus.consume("promotions", inbox, prefetch=2)
    lanes = {Envelope.from_body((await inbox.take()).body).lane for _ in range(2)}
    assert lanes == {Lane.LIVE, Lane.BULK}
    assert await bus.depth("qc") == 0


async def test_many_at_once_all_arrive(bus, inbox):
    sent = [wrap() for _ in range(300)]
    await bus.publish(sent)
    assert await settled(bus, "qc", 300)
    await bus.consume("qc", inbox, prefetch=50)
    got = []
    for _ in sent:
        delivery = await inbox.take()
        got.append(Envelope.from_body(delivery.body).message_id)
        await delivery.ack()
    assert sorted(got) == sorted(envelope.message_id for envelope in sent)


async def test_publishing_nothing_does_nothing(bus):
    await bus.publish([])


async def test_unroutable_raises_and_the_others_still_go(bus, inbox):
    with pytest.raises(Unroutable):
        await bus.publish([wrap(), wrap(Nowhere()), wrap()])
    await bus.consume("qc", inbox, prefetch=2)
    await inbox.take()
    await inbox.take()


async def test_a_queue_that_does_not_exist_is_unroutable(bus, inbox):
    with pytest.raises(Unroutable):
        await bus.publish_raw("no-such-queue", b"", {})
    with pytest.raises(Unroutable):
        await bus.depth("no-such-queue")
    with pytest.raises(Unroutable):
        await bus.consume("no-such-queue", inbox, prefetch=1)
    await bus.publish([wrap()])


@pytest.mark.parametrize("body", [b"", b"\xff\x00{", b"{}", b"x" * 300_000], ids=["empty", "binary", "json", "long"])
async def test_any_body_travels_as_bytes(bus, inbox, body):
    await bus.publish_raw("qc", body, {"x-note": "as it was"})
    await bus.consume("qc", inbox, prefetch=1)
    delivery = await inbox.take()
    assert delivery.body == body
    assert delivery.headers == {"x-note": "as it was"}
    await delivery.dead_letter("malformed")
    await bus.consume(DEAD_LETTERS, inbox, prefetch=1)
    assert (await inbox.take()).body == body


async def test_prefetch_bounds_what_is_in_flight(bus, inbox):
    await bus.publish([wrap() for _ in range(8)])
    await bus.consume("qc", inbox, prefetch=3)
    held = [await inbox.take() for _ in range(3)]
    assert await inbox.nothing_comes()
    await held[1].ack()
    await inbox.take()
    assert await inbox.nothing_comes()


async def test_prefetch_is_each_subscriptions_own(bus, new_inbox):
    slow, quick = new_inbox(), new_inbox()
    await bus.publish([wrap() for _ in range(6)])
    await bus.publish([wrap(ReleasePromoted(release_id="0" * 64)) for _ in range(6)])
    await bus.consume("qc", slow, prefetch=1)
    await bus.consume("promotions", quick, prefetch=4)
    await slow.take()
    for _ in range(4):
        await quick.take()
    assert await slow.nothing_comes()
    assert await quick.nothing_comes()


async def test_subscriptions_take_turns(bus, new_inbox):
    inboxes = [new_inbox(), new_inbox()]
    for inbox in inboxes:
        await bus.consume("qc", inbox, prefetch=5)
    await bus.publish([wrap() for _ in range(10)])
    for inbox in inboxes:
        for _ in range(5):
            await inbox.take()


async def test_acked_is_forgotten(rig, bus, inbox):
    await bus.publish([wrap(), wrap()])
    await bus.consume("qc", inbox, prefetch=2)
    for _ in range(2):
        await (await inbox.take()).ack()
    await rig.close()
    assert await settled(await rig.open(), "qc", 0)


async def test_ending_twice_is_a_fault_of_the_program(bus, inbox):
    await bus.publish([wrap()])
    await bus.consume("qc", inbox, prefetch=1)
    delivery = await inbox.take()
    await delivery.ack()
    for end in (delivery.ack, delivery.requeue, lambda: delivery.dead_letter("late")):
        with pytest.raises(RuntimeError):
            await end()


async def test_requeue_gives_it_to_another_as_it_was(bus, new_inbox):
    first, second = new_inbox(), new_inbox()
    await bus.publish([wrap()])
    subscription = await bus.consume("qc", first, prefetch=1)
    delivery = await first.take()
    await subscription.cancel()
    await delivery.requeue()
    await bus.consume("qc", second, prefetch=1)
    again = await second.take()
    assert (again.body, again.attempt) == (delivery.body, 1)


async def test_after_cancel_nothing_comes_and_what_is_held_can_be_ended(bus, inbox):
    await bus.publish([wrap() for _ in range(3)])
    subscription = await bus.consume("qc", inbox, prefetch=1)
    held = await inbox.take()
    await subscription.cancel()
    await held.ack()
    assert await inbox.nothing_comes()
    assert await settled(bus, "qc", 2)
    await subscription.cancel()


async def test_a_retry_waits_and_counts(bus, inbox):
    await bus.publish([wrap()])
    await bus.consume("qc", inbox, prefetch=1)
    first = await inbox.take()
    await first.retry(0.5)
    # What is published while it waits overtakes it.
    overtaking = wrap()
    await bus.publish([overtaking])
    second = await inbox.take()
    assert Envelope.from_body(second.body).message_id == overtaking.message_id
    await second.ack()
    third = await inbox.take()
    assert (third.body, third.attempt, third.queue) == (first.body, 2, "qc")
    await third.retry(0.2)
    fourth = await inbox.take()
    assert (fourth.body, fourth.attempt) == (first.body, 3)
    await fourth.ack()
    assert await inbox.nothing_comes()


async def test_a_retry_comes_home_to_the_queue_it_left(bus, new_inbox):
    """`releases` and `qc` are bound by other keys than their names; only one of them had this message."""
    qc, promotions = new_inbox(), new_inbox()
    await bus.consume("qc", qc, prefetch=1)
    await bus.consume("promotions", promotions, prefetch=1)
    await bus.publish([wrap(ReleasePromoted(release_id="0" * 64))])
    await (await promotions.take()).retry(0.2)
    assert (await promotions.take()).attempt == 2
    assert qc.deliveries.empty()


async def test_a_delay_without_a_queue_is_refused_and_the_delivery_still_held(bus, inbox):
    await bus.publish([wrap()])
    await bus.consume("qc", inbox, prefetch=1)
    delivery = await inbox.take()
    with pytest.raises(ValueError, match="no retry queue"):
        await delivery.retry(17.0)
    await delivery.ack()


async def test_a_dead_letter_says_why_where_when_and_which(bus, inbox):
    sent = wrap()
    await bus.publish([sent])
    await bus.consume("qc", inbox, prefetch=1)
    await (await inbox.take()).retry(0.2)
    await (await inbox.take()).dead_letter("ValueError: größer als erlaubt")
    await bus.consume(DEAD_LETTERS, inbox, prefetch=1)
    dead = await inbox.take()
    assert dead.headers == {
        "x-reason": "ValueError: größer als erlaubt",
        "x-queue": "qc",
        "x-attempt": "2",
        "x-message-id": str(sent.message_id),
    }
    assert (dead.queue, dead.attempt) == (DEAD_LETTERS, 1)
    assert Envelope.from_body(dead.body) == sent
    await dead.ack()
    assert await settled(bus, "qc", 0)


async def test_a_long_reason_still_fits(bus, inbox):
    await bus.publish([wrap()])
    await bus.consume("qc", inbox, prefetch=1)
    await (await inbox.take()).dead_letter("x" * 200_000)
    await bus.consume(DEAD_LETTERS, inbox, prefetch=1)
    assert (await inbox.take()).headers["x-reason"].startswith("xxx")


async def test_a_replayed_dead_letter_begins_anew(bus, inbox):
    await bus.publish([wrap()])
    await bus.consume("qc", inbox, prefetch=1)
    first = await inbox.take()
    await first.dead_letter("no")
    await bus.publish_raw("qc", first.body, {})
    again = await inbox.take()
    assert (again.body, again.attempt) == (first.body, 1)


async def test_a_dead_letter_never_ends_but_by_ack(bus, inbox):
    """Who takes dead letters may fail too; what they tell must outlive that."""
    await bus.publish([wrap()])
    await bus.consume("qc", inbox, prefetch=1)
    await (await inbox.take()).dead_letter("first reason")
    await bus.consume(DEAD_LETTERS, inbox, prefetch=1)
    dead = await inbox.take()
    before = dead.headers
    await dead.retry(0.2)
    dead = await inbox.take()
    assert dead.attempt == 2
    await dead.dead_letter("the taker of dead letters failed")
    dead = await inbox.take()
    assert dead.attempt == 3
    assert {name: dead.headers[name] for name in before} == before
    await dead.ack()
    assert await inbox.nothing_comes()


async def test_a_message_whose_handler_always_raises_becomes_a_dead_letter(bus, inbox):
    calls = 0

    async def poisoned(delivery):
        nonlocal calls
        calls += 1
        raise ZeroDivisionError("poisoned")

    await bus.publish_raw("trainer", b"poison", {"x-attempt": "3"})
    await bus.consume("trainer", poisoned, prefetch=4)
    await bus.consume(DEAD_LETTERS, inbox, prefetch=1)
    dead = await inbox.take()
    assert calls == DELIVERY_LIMIT + 1
    assert dead.body == b"poison"
    assert dead.headers["x-queue"] == "trainer"
    assert dead.headers["x-reason"] == "delivery_limit"
    assert dead.headers["x-attempt"] == "3"
    assert dead.headers["x-message-id"]
    await dead.ack()


async def test_a_message_that_turns_poisonous_after_a_retry_names_the_queue_it_failed_in(bus, inbox):
    """Its broker history begins in the retry queue, which is not where it died."""
    handed_out = 0

    async def poisoned(delivery):
        nonlocal handed_out
        handed_out += 1
        if handed_out == 1:
            await delivery.retry(0.2)
            return
        raise ZeroDivisionError("poisoned")

    await bus.publish_raw("trainer", b"poison", {})
    await bus.consume("trainer", poisoned, prefetch=1)
    await bus.consume(DEAD_LETTERS, inbox, prefetch=1)
    headers = (await inbox.take()).headers
    assert (headers["x-queue"], headers["x-reason"], headers["x-attempt"]) == ("trainer", "delivery_limit", "2")


async def test_one_raising_handler_stops_no_other(bus):
    done = []

    async def picky(delivery):
        if delivery.body == b"bad":
            raise ZeroDivisionError
        done.append(delivery.body)
        await delivery.ack()

    for body in (b"1", b"bad", b"2", b"3"):
        await bus.publish_raw("trainer", body, {})
    await bus.consume("trainer", picky, prefetch=2)
    assert await settled(bus, DEAD_LETTERS, 1)
    assert sorted(done) == [b"1", b"2", b"3"]


async def test_a_blocked_loop_loses_and_doubles_nothing(bus):
    sent = [wrap() for _ in range(60)]
    seen = []
    all_seen = asyncio.Event()

    async def handle(delivery):
        seen.append(Envelope.from_body(delivery.body).message_id)
        if len(seen) == 20:
            time.sleep(2)  # noqa: ASYNC251 - the point: the loop stands still
        await asyncio.sleep(0)
        await delivery.ack()
        if len(seen) >= len(sent):
            all_seen.set()

    await bus.consume("qc", handle, prefetch=10)
    await bus.publish(sent[:30])
    await bus.publish(sent[30:])
    async with asyncio.timeout(30):
        await all_seen.wait()
    assert await settled(bus, "qc", 0)
    assert sorted(seen) == sorted(envelope.message_id for envelope in sent)


async def test_what_was_held_comes_back_after_a_restart(rig, bus, new_inbox):
    before, after = new_inbox(), new_inbox()
    sent = [wrap() for _ in range(4)]
    await bus.publish(sent)
    await bus.consume("qc", before, prefetch=3)
    held = [await before.take() for _ in range(3)]
    await held[0].ack()
    await rig.close()
    # The bus is gone: these change nothing, and raise nothing.
    await held[1].ack()
    bus = await rig.open()
    await bus.consume("qc", after, prefetch=4)
    acked = Envelope.from_body(held[0].body).message_id
    got = {Envelope.from_body((await after.take()).body).message_id for _ in range(3)}
    assert got == {envelope.message_id for envelope in sent} - {acked}
    assert await after.nothing_comes()


async def test_what_waited_for_a_retry_comes_after_a_restart(rig, bus, new_inbox):
    before, after = new_inbox(), new_inbox()
    await bus.publish([wrap()])
    await bus.consume("qc", before, prefetch=1)
    await (await before.take()).retry(0.5)
    await rig.close()
    await (await rig.open()).consume("qc", after, prefetch=1)
    assert (await after.take()).attempt == 2


async def test_close_stops_handlers(rig, bus):
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def endless(delivery):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    await bus.publish([wrap()])
    await bus.consume("qc", endless, prefetch=1)
    await begun.wait()
    await rig.close()
    assert stopped.is_set()
    assert await settled(await rig.open(), "qc", 1)


async def test_a_bus_that_is_not_open_says_so(rig, bus, inbox):
    await bus.ping()
    await rig.close()
    for refused in (
        bus.publish([wrap()]),
        bus.publish_raw("qc", b"", {}),
        bus.consume("qc", inbox, prefetch=1),
        bus.depth("qc"),
        bus.ping(),
    ):
        with pytest.raises(DependencyDown):
            await refused


async def test_starting_twice_and_closing_twice_is_harmless(bus):
    await bus.start()
    await bus.close()
    await bus.close()
