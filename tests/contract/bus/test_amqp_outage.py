"""What the RabbitMQ adapter promises beyond the contract: it outlives cut, killed and silent connections."""

import asyncio
import subprocess
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest

from varanger.common.adapters.bus_amqp import AmqpBus
from varanger.common.errors import DependencyDown
from varanger.common.messages import Envelope, QcRoundRequested
from varanger.common.topology import DEAD_LETTERS, QUEUES, retry_queue

DELAYS_S = (0.2,)


def wrap() -> Envelope:
    return Envelope.wrap(QcRoundRequested(round_id=uuid4()), project_id="varanger", producer="test/1")


async def soon(condition) -> bool:
    for _ in range(150):
        if condition():
            return True
        await asyncio.sleep(0.1)
    return False


async def publish_when_back(bus: AmqpBus, envelope: Envelope) -> None:
    """As a relay does: try again after DependencyDown."""
    for _ in range(100):
        try:
            await bus.publish([envelope])
        except DependencyDown:
            await asyncio.sleep(0.1)
        else:
            return
    pytest.fail("publishing did not work again")


@pytest.fixture
async def relayed(amqp_url, relay_to):
    """A bus behind a relay, its queues empty."""
    parts = urlsplit(amqp_url)
    relay = await relay_to(parts.hostname, parts.port or 5672)
    user = parts.netloc.rpartition("@")[0]
    bus = AmqpBus(f"amqp://{user}@127.0.0.1:{relay.port}{parts.path}", DELAYS_S, publish_timeout_s=1.5)
    await bus.start()
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        for name in [queue.name for queue in QUEUES] + [DEAD_LETTERS] + [retry_queue(delay_s) for delay_s in DELAYS_S]:
            await (await channel.get_queue(name, ensure=False)).purge()
    yield bus, relay
    relay.thaw()
    await bus.close()


async def test_without_a_broker_start_says_so(relay_to):
    relay = await relay_to("127.0.0.1", 1)
    await relay.cut()
    bus = AmqpBus(f"amqp://guest:guest@127.0.0.1:{relay.port}/", DELAYS_S)
    with pytest.raises(DependencyDown):
        await bus.start()
    await bus.close()


async def test_wrong_credentials_are_a_dependency_down(amqp_url):
    parts = urlsplit(amqp_url)
    bus = AmqpBus(f"amqp://nobody:wrong@{parts.netloc.rpartition('@')[2]}{parts.path}", DELAYS_S)
    with pytest.raises(DependencyDown):
        await bus.start()
    await bus.close()


async def test_a_cut_connection_loses_nothing(relayed):
    bus, relay = relayed
    seen: list[Envelope] = []
    held = []

    async def handle(delivery):
        seen.append(Envelope.from_body(delivery.body))
        if len(held) < 2:
            held.append(delivery)
        else:
            await delivery.ack()

    await bus.consume("qc", handle, prefetch=5)
    before = [wrap() for _ in range(2)]
    await bus.publish(before)
    assert await soon(lambda: len(held) == 2)
    await relay.cut()
    with pytest.raises(DependencyDown):
        async with asyncio.timeout(10):
            await bus.publish([wrap()])
    with pytest.raises(DependencyDown):
        await bus.ping()
    # The deliveries came by a channel that is gone: no ending of theirs does anything, nor raises.
    await held[0].ack()
    await held[1].retry(0.2)
    await relay.open()
    after = wrap()
    await publish_when_back(bus, after)
    wanted = {envelope.message_id for envelope in (*before, after)}
    assert await soon(lambda: {envelope.message_id for envelope in seen[2:]} >= wanted)
    assert await bus.depth("qc") == 0


async def test_a_copy_that_is_not_confirmed_leaves_the_original_held(relayed):
    bus, relay = relayed
    deliveries: asyncio.Queue = asyncio.Queue()
    await bus.consume("qc", deliveries.put, prefetch=1)
    await bus.publish([wrap()])
    delivery = await deliveries.get()
    relay.freeze()
    with pytest.raises(DependencyDown):
        async with asyncio.timeout(10):
            await delivery.retry(0.2)
    relay.thaw()
    await delivery.dead_letter("still held")
    assert await bus.depth("qc") == 0


async def test_a_silent_broker_costs_a_bounded_time(relayed):
    bus, relay = relayed
    relay.freeze()
    with pytest.raises(DependencyDown):
        async with asyncio.timeout(10):
            await bus.publish([wrap() for _ in range(20)])
    with pytest.raises(DependencyDown):
        async with asyncio.timeout(15):
            await bus.ping()
    relay.thaw()
    await publish_when_back(bus, wrap())


async def test_closing_ends_though_the_broker_is_silent(relayed):
    bus, relay = relayed
    deliveries: asyncio.Queue = asyncio.Queue()
    for queue in ("qc", "trainer", "promotions"):
        await bus.consume(queue, deliveries.put, prefetch=1)
    relay.freeze()
    async with asyncio.timeout(40):
        await bus.close()


async def test_killed_connections_come_back(amqp_url):
    if urlsplit(amqp_url).hostname not in {"127.0.0.1", "localhost"}:
        pytest.fail("Killing connections needs rabbitmqctl beside the broker: run `make services`")
    bus = AmqpBus(amqp_url, DELAYS_S)
    await bus.start()
    seen: list[bytes] = []

    async def handle(delivery):
        seen.append(delivery.body)
        if seen.count(delivery.body) > 1:
            await delivery.ack()

    await bus.publish_raw("trainer", b"held while killed", {})
    await bus.consume("trainer", handle, prefetch=5)
    assert await soon(lambda: len(seen) == 1)
    vhost = urlsplit(amqp_url).path.lstrip("/")
    for _ in range(2):
        # A connection takes a moment to appear in the broker's list.
        done = await asyncio.to_thread(
            subprocess.run,
            ["rabbitmqctl", "-q", "close_all_connections", "--vhost", vhost, "killed by a test"],
            check=True,
            capture_output=True,
        )
        assert done.returncode == 0
    assert await soon(lambda: len(seen) == 2)
    await publish_when_back(bus, wrap())
    await bus.close()
