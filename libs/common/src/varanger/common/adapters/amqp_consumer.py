"""What `AmqpBus.consume` starts: one channel per queue consumed, reopened when it is lost, and its deliveries."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError, ChannelNotFoundEntity
from aiormq.abc import AbstractChannel as UnderlayChannel

from varanger.common.adapters import bus_headers
from varanger.common.adapters.amqp_link import CLOSE_TIMEOUT_S, CONNECT_TIMEOUT_S, Link, broker_faults
from varanger.common.errors import DependencyDown, Unroutable
from varanger.common.ports.bus import OnDelivery
from varanger.common.topology import DEAD_EXCHANGE, DEAD_LETTERS, retry_queue

_log = structlog.get_logger("varanger.bus")

_REOPEN_FIRST_S = 0.1
_REOPEN_LONGEST_S = 5.0
_BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
"""Headers that a broker adds and a copy must not carry on."""


class Copier(Protocol):
    """The part of the bus that an ending needs: publish a confirmed copy."""

    retry_delays_s: tuple[float, ...]

    async def publish_copy(
        self, exchange: str, routing_key: str, body: bytes, headers: dict[str, str], message_id: str
    ) -> None:
        """Return when the copy is confirmed. Raises DependencyDown."""


class AmqpDelivery:
    """One message held by one consumer. Where its channel is lost it is the broker's again; its endings do nothing."""

    def __init__(self, message: AbstractIncomingMessage, subscription: "AmqpSubscription", copier: Copier) -> None:
        self._message = message
        self._channel: UnderlayChannel = message.channel
        self._subscription = subscription
        self._copier = copier
        self._headers = read_headers(message, subscription.queue)
        self._ended = False

    @property
    def body(self) -> bytes:
        """The bytes as they were published."""
        return self._message.body

    @property
    def queue(self) -> str:
        """The queue it was taken from."""
        return self._subscription.queue

    @property
    def headers(self) -> dict[str, str]:
        """A copy of our own headers."""
        return dict(self._headers)

    @property
    def attempt(self) -> int:
        """Which try this is, from 1."""
        return bus_headers.read_attempt(self._headers, self.queue)

    async def ack(self) -> None:
        """Forget it."""
        if self._may_end():
            await self._end(self._channel.basic_ack(self._tag, wait=False))

    async def requeue(self) -> None:
        """Back to its queue. RabbitMQ before 4.3 counts it towards the delivery limit."""
        if self._may_end():
            await self._end(self._channel.basic_nack(self._tag, requeue=True, wait=False))

    async def refuse(self) -> None:
        """Its handler raised: back to the queue, counted towards the delivery limit."""
        if not self._ended and self._may_end():
            await self._end(self._channel.basic_reject(self._tag, requeue=True, wait=False))

    async def retry(self, delay_s: float) -> None:
        """Confirm a copy into the retry queue, its routing key naming the queue it goes home to; then ack."""
        if delay_s not in self._copier.retry_delays_s:
            raise ValueError(f"no retry queue waits {delay_s:g} s; there are {self._copier.retry_delays_s}")
        if self._may_end():
            headers = bus_headers.for_retry(self._headers, self.queue, self.attempt)
            await self._copy(retry_queue(delay_s), self.queue, headers)
            await self.ack()

    async def dead_letter(self, reason: str) -> None:
        """Confirm a copy into the dead letters; then ack. A dead letter itself waits for the longest delay instead."""
        if self.queue == DEAD_LETTERS:
            await self.retry(max(self._copier.retry_delays_s))
        elif self._may_end():
            headers = bus_headers.for_dead_letter(
                self._headers, reason=reason, queue=self.queue, attempt=self.attempt, message_id=self._message_id
            )
            await self._copy(DEAD_EXCHANGE, self.queue, headers)
            await self.ack()

    @property
    def _tag(self) -> int:
        return self._message.delivery_tag or 0

    @property
    def _message_id(self) -> str:
        return self._message.message_id or ""

    async def _copy(self, exchange: str, routing_key: str, headers: dict[str, str]) -> None:
        await self._copier.publish_copy(exchange, routing_key, self.body, headers, self._message_id)

    def _may_end(self) -> bool:
        """False where the channel it came by is gone.

        Raises:
            RuntimeError: it was ended before.
        """
        if self._ended:
            raise RuntimeError(f"delivery {self._message_id} from {self.queue} was ended twice")
        return not self._channel.is_closed

    async def _end(self, frame: Awaitable[None]) -> None:
        self._ended = True
        try:
            await frame
        except ChannelInvalidStateError:
            _log.info("bus.ending_lost", queue=self.queue, message_id=self._message_id)
        await self._subscription.let_go(self)


def read_headers(message: AbstractIncomingMessage, queue: str) -> dict[str, str]:
    """Our own headers; for a dead letter that the broker made itself, what its `x-death` says in our words."""
    headers = {
        name: value
        for name, value in message.headers.items()
        if isinstance(value, str) and not name.startswith(_BROKERS_OWN)
    }
    if queue != DEAD_LETTERS or bus_headers.REASON in headers:
        return headers
    deaths = message.headers.get("x-death")
    # Newest first; waits in a retry queue stand there too, as "expired".
    for death in deaths if isinstance(deaths, list) else []:
        if isinstance(death, dict) and death.get("reason") != "expired":
            origin = str(death.get("queue"))
            return bus_headers.for_dead_letter(
                headers,
                reason=str(death.get("reason")),
                queue=origin,
                attempt=bus_headers.read_attempt(headers, origin),
                message_id=message.message_id or "",
            )
    return headers


class AmqpSubscription:
    """A consumer of one queue on a channel of its own, so that its prefetch is its own too."""

    def __init__(self, link: Link, copier: Copier, queue: str, on_delivery: OnDelivery, prefetch: int) -> None:
        self.queue = queue
        self._link = link
        self._copier = copier
        self._on_delivery = on_delivery
        self._prefetch = prefetch
        self._channel: AbstractChannel | None = None
        self._consumer_tag = ""
        self._lost = asyncio.Event()
        self._cancelled = False
        self._held: set[AmqpDelivery] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to consume, and keep at it.

        Raises:
            DependencyDown: no broker answers.
            Unroutable: there is no such queue.
        """
        try:
            await self._open()
        except BaseException:
            await self._close_channel()
            raise
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def cancel(self) -> None:
        """Take nothing more. The channel stays until the last held delivery is ended."""
        self._cancelled = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._channel is not None and not self._channel.is_closed:
            # A consumer on a channel that was lost meanwhile is cancelled already.
            with suppress(DependencyDown):
                async with broker_faults(f"cancelling the consumer of {self.queue}"):
                    queue = await self._channel.get_queue(self.queue, ensure=False)
                    await queue.cancel(self._consumer_tag, timeout=CONNECT_TIMEOUT_S)
        if not self._held:
            await self._close_channel()

    async def close(self) -> None:
        """Cancel, stop the handlers, close the channel: what is held goes back to the queue."""
        await self.cancel()
        handlers = [handler for handler in self._handlers if handler is not asyncio.current_task()]
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await self._close_channel()

    async def let_go(self, delivery: AmqpDelivery) -> None:
        """A delivery was ended."""
        self._held.discard(delivery)
        if self._cancelled and not self._held:
            await self._close_channel()

    async def _keep(self) -> None:
        while True:
            await self._lost.wait()
            _log.warning("bus.consumer_lost", queue=self.queue)
            self._held.clear()
            await self._reopen()

    async def _reopen(self) -> None:
        pause_s = _REOPEN_FIRST_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self._close_channel()
                await self._open()
            except DependencyDown as error:
                _log.warning("bus.consumer_not_resumed", queue=self.queue, error=str(error))
                pause_s = min(pause_s * 2, _REOPEN_LONGEST_S)
            except Exception:
                _log.exception("bus.consumer_not_resumed", queue=self.queue)
                pause_s = _REOPEN_LONGEST_S
            else:
                _log.info("bus.consumer_resumed", queue=self.queue)
                return

    async def _open(self) -> None:
        channel = self._channel = await self._link.channel()
        lost = self._lost = asyncio.Event()
        channel.close_callbacks.add(lambda *_: lost.set())
        async with broker_faults(f"consuming {self.queue}"):
            underlay = await channel.get_underlay_channel()
            underlay.on_consumer_cancel_callbacks.add(lambda *_: lost.set())
            await channel.set_qos(prefetch_count=self._prefetch, timeout=CONNECT_TIMEOUT_S)
            queue = await channel.get_queue(self.queue, ensure=False)
            try:
                self._consumer_tag = await queue.consume(self._take, timeout=CONNECT_TIMEOUT_S)
            except ChannelNotFoundEntity as error:
                raise Unroutable(f"there is no queue {self.queue!r}") from error

    async def _close_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and not channel.is_closed:
            # Lost on the way is as good as closed.
            with suppress(DependencyDown):
                async with broker_faults(f"closing the channel of {self.queue}"), asyncio.timeout(CLOSE_TIMEOUT_S):
                    await channel.close()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        """Hand out in a task of our own: aio-pika cancels its callbacks with the channel, work under way goes on."""
        try:
            delivery = AmqpDelivery(message, self, self._copier)
        except ChannelInvalidStateError:
            return  # the channel was lost between the message's arrival and now; it will come again
        self._held.add(delivery)
        handler = asyncio.get_running_loop().create_task(self._handle(delivery))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _handle(self, delivery: AmqpDelivery) -> None:
        if self._cancelled:
            await delivery.requeue()
            return
        try:
            await self._on_delivery(delivery)
        except Exception:
            _log.exception("bus.handler_raised", queue=self.queue)
            await delivery.refuse()
