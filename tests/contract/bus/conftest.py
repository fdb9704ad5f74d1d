"""The adapters under the bus contract, each with a way to come back after it stopped."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest

from varanger.common.adapters.bus_amqp import AmqpBus
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.ports.bus import Bus, Delivery
from varanger.common.topology import DEAD_LETTERS, QUEUES, retry_queue

DELAYS_S = (0.2, 0.5)


class Inbox:
    """A handler that holds what it is given until the test ends it."""

    def __init__(self) -> None:
        self.deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
        self.taken: list[Delivery] = []

    async def __call__(self, delivery: Delivery) -> None:
        await self.deliveries.put(delivery)

    async def take(self) -> Delivery:
        """The next delivery."""
        async with asyncio.timeout(20):
            delivery = await self.deliveries.get()
        self.taken.append(delivery)
        return delivery

    async def nothing_comes(self) -> bool:
        """Whether a while passes without a further delivery."""
        await asyncio.sleep(0.4)
        return self.deliveries.empty()


class MemoryRig:
    """One bus object that is closed and started again."""

    def __init__(self) -> None:
        self._bus = MemoryBus(DELAYS_S)

    async def open(self) -> Bus:
        """The bus, started."""
        await self._bus.start()
        return self._bus

    async def close(self) -> None:
        """Stop it."""
        await self._bus.close()


class AmqpRig:
    """As many buses as asked for, on one vhost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._buses: list[AmqpBus] = []

    async def open(self) -> Bus:
        """One more bus."""
        bus = AmqpBus(self._url, DELAYS_S)
        await bus.start()
        self._buses.append(bus)
        return bus

    async def close(self) -> None:
        """Close them all."""
        for bus in self._buses:
            await bus.close()
        self._buses.clear()


Rig = MemoryRig | AmqpRig


async def empty_queues(url: str) -> None:
    """The vhost outlives the test; its messages must not."""
    names = [queue.name for queue in QUEUES] + [DEAD_LETTERS] + [retry_queue(delay_s) for delay_s in DELAYS_S]
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        for name in names:
            queue = await channel.get_queue(name, ensure=False)
            await queue.purge()


@pytest.fixture(params=["memory", "amqp"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Each adapter in turn, its queues empty."""
    rig: Rig
    if request.param == "memory":
        rig = MemoryRig()
    else:
        url = request.getfixturevalue("amqp_url")
        rig = AmqpRig(url)
        await rig.open()
        await empty_queues(url)
    yield rig
    await rig.close()


@pytest.fixture
async def bus(rig: Rig) -> Bus:
    """An open bus."""
    return await rig.open()


@pytest.fixture
def inbox() -> Inbox:
    """A handler."""
    return Inbox()


@pytest.fixture
def new_inbox() -> type[Inbox]:
    """For tests that need several."""
    return Inbox
