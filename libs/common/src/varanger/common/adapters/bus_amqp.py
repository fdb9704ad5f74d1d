"""`amqp://`: RabbitMQ, raw aio-pika. Publishes with confirms and returns raised, consumes with a prefetch per queue.

Publishing and consuming have a connection each: a broker short of memory stops reading from who publishes, and the
acknowledgements that would relieve it must not stand in that queue.
"""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity, PublishError
from aiormq.abc import AbstractChannel as UnderlayChannel
from pamqp.commands import Basic

from varanger.common.adapters import bus_headers
from varanger.common.adapters.amqp_consumer import AmqpSubscription
from varanger.common.adapters.amqp_link import Link, broker_faults
from varanger.common.errors import DependencyDown, Unroutable
from varanger.common.messages import Envelope
from varanger.common.ports.bus import OnDelivery
from varanger.common.topology import EXCHANGE

_PERSISTENT = int(DeliveryMode.PERSISTENT)
_ASK_TIMEOUT_S = 5.0


class AmqpBus:
    """`Bus` over RabbitMQ 3.10 and later.

    `publish_timeout_s` bounds a whole `publish`, connecting included; what is not confirmed by then may still arrive.
    """

    def __init__(self, url: str, retry_delays_s: tuple[float, ...], *, publish_timeout_s: float = 10.0) -> None:
        self.retry_delays_s = retry_delays_s
        self._publish_timeout_s = publish_timeout_s
        self._outgoing = Link(url, "outgoing", retry_delays_s)
        self._incoming = Link(url, "incoming", retry_delays_s)
        self._publisher: UnderlayChannel | None = None
        self._opening = asyncio.Lock()
        self._subscriptions: list[AmqpSubscription] = []
        self._started = False

    async def start(self) -> None:
        """Connect and declare the topology."""
        self._started = True
        try:
            await self._publishing_channel()
        except DependencyDown:
            self._started = False
            raise

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Send all, then await all confirms."""
        await self._send(
            [
                (
                    EXCHANGE,
                    envelope.routing_key,
                    envelope.to_body(),
                    _properties(str(envelope.message_id), bus_headers.of_envelope(envelope)),
                )
                for envelope in envelopes
            ]
        )

    async def publish_raw(self, queue: str, body: bytes, headers: dict[str, str]) -> None:
        """Through the default exchange, whose routing keys are the queues' names."""
        message_id = headers.get(bus_headers.MESSAGE_ID) or str(uuid4())
        await self._send([("", queue, body, _properties(message_id, headers))])

    async def publish_copy(
        self, exchange: str, routing_key: str, body: bytes, headers: dict[str, str], message_id: str
    ) -> None:
        """What a delivery's `retry` and `dead_letter` confirm before they acknowledge."""
        await self._send([(exchange, routing_key, body, _properties(message_id, headers))])

    async def consume(self, queue: str, on_delivery: OnDelivery, *, prefetch: int) -> AmqpSubscription:
        """Start a consumer on a channel of its own."""
        self._check_started()
        subscription = AmqpSubscription(self._incoming, self, queue, on_delivery, prefetch)
        await subscription.start()
        self._subscriptions.append(subscription)
        return subscription

    async def depth(self, queue: str) -> int:
        """Messages ready in the queue.

        Raises:
            DependencyDown: the broker does not answer.
            Unroutable: there is no such queue.
        """
        channel = await self._asking_channel()
        try:
            async with broker_faults(f"asking for the depth of {queue}"):
                underlay = await channel.get_underlay_channel()
                try:
                    answer = await underlay.queue_declare(queue, passive=True, timeout=_ASK_TIMEOUT_S)
                except ChannelNotFoundEntity as error:
                    raise Unroutable(f"there is no queue {queue!r}") from error
                return answer.message_count or 0
        finally:
            await _close(channel)

    async def ping(self) -> None:
        """Ask the broker for our exchange."""
        channel = await self._asking_channel()
        try:
            async with broker_faults("asking whether it answers"):
                underlay = await channel.get_underlay_channel()
                await underlay.exchange_declare(EXCHANGE, passive=True, timeout=_ASK_TIMEOUT_S)
        finally:
            await _close(channel)

    async def close(self) -> None:
        """Stop the consumers, give back what they hold, close both connections."""
        self._started = False
        subscriptions, self._subscriptions = self._subscriptions, []
        await asyncio.gather(*(subscription.close() for subscription in subscriptions))
        self._publisher = None
        await self._incoming.close()
        await self._outgoing.close()

    async def _send(self, messages: Sequence[tuple[str, str, bytes, Basic.Properties]]) -> None:
        async with broker_faults("publishing"), asyncio.timeout(self._publish_timeout_s):
            channel = await self._publishing_channel()
            # gather, not one await after another: a channel that closes cancels the publishing inside it, and that
            # must not look like a cancellation of our caller.
            outcomes = await asyncio.gather(
                *(
                    channel.basic_publish(
                        body, exchange=exchange, routing_key=routing_key, properties=properties, mandatory=True
                    )
                    for exchange, routing_key, body, properties in messages
                ),
                return_exceptions=True,
            )
        faults = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for fault in faults:
            if isinstance(fault, PublishError):
                raise Unroutable(f"no queue is bound: {fault}") from fault
        if faults:
            raise DependencyDown(f"broker, publishing: {faults[0]!r}, {len(faults)} of {len(messages)}") from faults[0]

    async def _publishing_channel(self) -> UnderlayChannel:
        self._check_started()
        if self._publisher is not None and not self._publisher.is_closed:
            return self._publisher
        async with self._opening:
            if self._publisher is None or self._publisher.is_closed:
                channel = await self._outgoing.channel()
                self._publisher = await channel.get_underlay_channel()
            return self._publisher

    async def _asking_channel(self) -> AbstractChannel:
        """A channel for one question: a question about what is not there closes it."""
        self._check_started()
        return await self._outgoing.channel()

    def _check_started(self) -> None:
        if not self._started:
            raise DependencyDown("amqp:// bus is not started, or closed")


def _properties(message_id: str, headers: dict[str, str]) -> Basic.Properties:
    return Basic.Properties(
        content_type="application/json", delivery_mode=_PERSISTENT, message_id=message_id, headers=dict(headers) or None
    )


async def _close(channel: AbstractChannel) -> None:
    async with broker_faults("closing a channel"):
        if not channel.is_closed:
            await channel.close()
