"""The bus port against bare aio-pika with confirms: the same queue, the same bodies, 128 in flight.

    python bench/bus_bench.py [--messages 8000] [--repeats 9] [--quick]

On the broker of VARANGER_TEST_AMQP_URL, in a vhost of its own. Ours includes what the port adds: making each
envelope's JSON, headers, keeping account of what is held.
"""

import asyncio
import time
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage
from harness import compare, options, report, summarise
from own_services import own_vhost

from varanger.common.adapters.bus_amqp import AmqpBus
from varanger.common.messages import ClassificationRequested, Envelope
from varanger.common.ports.bus import Delivery
from varanger.common.topology import EXCHANGE
from varanger.common.words import Purpose

QUEUE = "inference.live"
IN_FLIGHT = 128
PREFETCH = 64


def a_command() -> Envelope:
    """What inference is asked most often."""
    return Envelope.wrap(
        ClassificationRequested(
            media_id=uuid4(),
            release_id="a" * 64,
            purpose=Purpose.INTAKE,
            key="media/varanger/deployment/location_20260101_120000_0123456789.jpg",
            view_key="views/varanger/00000000-0000-7000-8000-000000000000.jpg",
            sha256="b" * 64,
        ),
        project_id="varanger",
        producer="bench/1",
    )


class Bare:
    """aio-pika as its documentation shows it."""

    def __init__(self, channel: AbstractChannel, exchange: AbstractExchange, envelopes: list[Envelope]) -> None:
        self._channel = channel
        self._exchange = exchange
        self._bodies = [envelope.to_body() for envelope in envelopes]
        self._routing_key = envelopes[0].routing_key

    async def publish(self) -> float:
        """Messages/s confirmed."""
        begin = time.perf_counter()
        for start in range(0, len(self._bodies), IN_FLIGHT):
            await asyncio.gather(*(self._publish(body) for body in self._bodies[start : start + IN_FLIGHT]))
        return len(self._bodies) / (time.perf_counter() - begin)

    async def consume(self) -> float:
        """Messages/s taken and acknowledged."""
        done, left = asyncio.Event(), len(self._bodies)

        async def take(message: AbstractIncomingMessage) -> None:
            nonlocal left
            await message.ack()
            left -= 1
            if not left:
                done.set()

        await self._channel.set_qos(prefetch_count=PREFETCH)
        queue = await self._channel.get_queue(QUEUE, ensure=False)
        begin = time.perf_counter()
        tag = await queue.consume(take)
        await done.wait()
        taken = time.perf_counter() - begin
        await queue.cancel(tag)
        return len(self._bodies) / taken

    async def _publish(self, body: bytes) -> None:
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, message_id=str(uuid4()))
        await self._exchange.publish(message, self._routing_key, mandatory=True)


class Ours:
    """The same through the port."""

    def __init__(self, bus: AmqpBus, envelopes: list[Envelope]) -> None:
        self._bus = bus
        self._envelopes = envelopes

    async def publish(self) -> float:
        """Messages/s confirmed."""
        begin = time.perf_counter()
        for start in range(0, len(self._envelopes), IN_FLIGHT):
            await self._bus.publish(self._envelopes[start : start + IN_FLIGHT])
        return len(self._envelopes) / (time.perf_counter() - begin)

    async def consume(self) -> float:
        """Messages/s taken and acknowledged."""
        done, left = asyncio.Event(), len(self._envelopes)

        async def take(delivery: Delivery) -> None:
            nonlocal left
            await delivery.ack()
            left -= 1
            if not left:
                done.set()

        begin = time.perf_counter()
        subscription = await self._bus.consume(QUEUE, take, prefetch=PREFETCH)
        await done.wait()
        taken = time.perf_counter() - begin
        await subscription.cancel()
        return len(self._envelopes) / taken


async def main(url: str, messages: int, repeats: int) -> None:
    """Publish and consume by turns; each side empties the queue it filled."""
    envelopes = [a_command() for _ in range(messages)]
    bus = AmqpBus(url, (5.0,))
    await bus.start()
    try:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel(on_return_raises=True)
            bare = Bare(channel, await channel.get_exchange(EXCHANGE, ensure=False), envelopes)
            ours = Ours(bus, envelopes)
            consumed: dict[str, list[float]] = {"bare": [], "ours": []}

            async def bare_both() -> float:
                published = await bare.publish()
                consumed["bare"].append(await bare.consume())
                return published

            async def ours_both() -> float:
                published = await ours.publish()
                consumed["ours"].append(await ours.consume())
                return published

            against = "bare aio-pika with confirms"
            published = await compare(
                "bus port, publish", ours_both, against, bare_both, unit="messages/s", repeats=repeats, goal=0.9
            )
            warm = slice(1, None)
            taken = summarise(
                "bus port, consume", against, "messages/s", consumed["ours"][warm], consumed["bare"][warm], goal=0.9
            )
            report(published, taken)
    finally:
        await bus.close()


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--messages", type=int, default=8000)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    with own_vhost() as vhost_url:
        asyncio.run(main(vhost_url, *((IN_FLIGHT, 1) if given.quick else (given.messages, given.repeats))))
