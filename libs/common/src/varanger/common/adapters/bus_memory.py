"""`memory://`: the bus of the embedded mode, within one process and one event loop.

It keeps the broker's promises except outliving the process: the reconciler sends again what was under way.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

import structlog

from varanger.common.adapters import bus_headers
from varanger.common.errors import DependencyDown, Unroutable
from varanger.common.messages import Envelope
from varanger.common.ports.bus import OnDelivery
from varanger.common.topology import DEAD_LETTERS, DELIVERY_LIMIT, QUEUES

_log = structlog.get_logger("varanger.bus")


@dataclass
class _Message:
    body: bytes
    message_id: str
    headers: dict[str, str] = field(default_factory=dict)
    returned: int = 0
    """How often a handler raised while holding it; beyond the delivery limit it is a dead letter."""


class MemoryDelivery:
    """One message held by one consumer."""

    def __init__(self, bus: "MemoryBus", subscription: "MemorySubscription", message: _Message) -> None:
        self._bus = bus
        self._subscription = subscription
        self._message = message
        self._ended = False

    @property
    def body(self) -> bytes:
        """The bytes as they were published."""
        return self._message.body

    @property
    def queue(self) -> str:
        """The queue it was taken from."""
        return self._subscription.queue.name

    @property
    def headers(self) -> dict[str, str]:
        """A copy of the message's headers."""
        return dict(self._message.headers)

    @property
    def attempt(self) -> int:
        """Which try this is, from 1."""
        return bus_headers.read_attempt(self._message.headers, self.queue)

    async def ack(self) -> None:
        """Forget it."""
        self._end()

    async def requeue(self) -> None:
        """Back to the head of its queue, as it was."""
        if self._end():
            self._subscription.queue.put_back(self._message)

    async def retry(self, delay_s: float) -> None:
        """The next attempt, into the same queue, after `delay_s` seconds."""
        self._bus.check_delay(delay_s)
        headers = bus_headers.for_retry(self._message.headers, self.queue, self.attempt)
        if self._end():
            self._bus.put_later(delay_s, self.queue, _Message(self.body, self._message.message_id, headers))

    async def dead_letter(self, reason: str) -> None:
        """Into the dead letters; a dead letter itself waits for the longest delay, there is nowhere further to go."""
        if self.queue == DEAD_LETTERS:
            await self.retry(self._bus.longest_delay_s)
        elif self._end():
            self._bus.bury(self._message, self.queue, reason)

    def refuse(self) -> None:
        """Its handler raised: back to the queue, counted, so that a poisonous message does not circle for ever."""
        if self._ended or not self._end():
            return
        self._message.returned += 1
        if self._message.returned > DELIVERY_LIMIT and self.queue != DEAD_LETTERS:
            self._bus.bury(self._message, self.queue, bus_headers.BROKER_REASON)
        else:
            self._subscription.queue.put_back(self._message)

    def _end(self) -> bool:
        """False where the bus was closed meanwhile and has taken the message back."""
        if self._ended:
            raise RuntimeError(f"delivery {self._message.message_id} from {self.queue} was ended twice")
        self._ended = True
        return self._subscription.let_go(self, self._message)


class MemorySubscription:
    """A running consumer of one queue."""

    def __init__(self, bus: "MemoryBus", queue: "_Queue", on_delivery: OnDelivery, prefetch: int) -> None:
        self.queue = queue
        self._bus = bus
        self._on_delivery = on_delivery
        self._prefetch = prefetch
        self._held: dict[MemoryDelivery, _Message] = {}
        self._handlers: set[asyncio.Task[None]] = set()

    @property
    def has_room(self) -> bool:
        """Whether one more delivery may be handed out."""
        return len(self._held) < self._prefetch

    def hand_out(self, message: _Message) -> None:
        """Hold the message and run the handler on it."""
        delivery = MemoryDelivery(self._bus, self, message)
        self._held[delivery] = message
        handler = asyncio.get_running_loop().create_task(self._handle(delivery))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    def let_go(self, delivery: MemoryDelivery, message: _Message) -> bool:
        """Make room. False where the message is not held any more."""
        if self._held.pop(delivery, None) is not message:
            return False
        self.queue.wake()
        return True

    async def cancel(self) -> None:
        """Hand out nothing more; what is held can still be ended."""
        self.queue.leave(self)

    async def close(self) -> None:
        """Cancel, stop the handlers, give back what is held in the order it was handed out."""
        await self.cancel()
        held = list(self._held.values())
        self._held.clear()
        for message in reversed(held):
            self.queue.put_back(message)
        handlers = [handler for handler in self._handlers if handler is not asyncio.current_task()]
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    async def _handle(self, delivery: MemoryDelivery) -> None:
        try:
            await self._on_delivery(delivery)
        except Exception:
            _log.exception("bus.handler_raised", queue=self.queue.name)
            delivery.refuse()


class _Queue:
    def __init__(self, name: str) -> None:
        self.name = name
        self._ready: deque[_Message] = deque()
        self._subscriptions: deque[MemorySubscription] = deque()

    def __len__(self) -> int:
        return len(self._ready)

    def put(self, message: _Message) -> None:
        self._ready.append(message)
        self.wake()

    def put_back(self, message: _Message) -> None:
        self._ready.appendleft(message)
        self.wake()

    def join(self, subscription: MemorySubscription) -> None:
        self._subscriptions.append(subscription)
        self.wake()

    def leave(self, subscription: MemorySubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def wake(self) -> None:
        """Hand out what is ready, to each subscription with room in turn."""
        while self._ready and (subscription := self._next_with_room()) is not None:
            subscription.hand_out(self._ready.popleft())

    def _next_with_room(self) -> MemorySubscription | None:
        for _ in range(len(self._subscriptions)):
            subscription = self._subscriptions[0]
            self._subscriptions.rotate(-1)
            if subscription.has_room:
                return subscription
        return None


class MemoryBus:
    """`Bus` within one process. A closed one may be started again and still has its messages."""

    def __init__(self, retry_delays_s: tuple[float, ...]) -> None:
        self._retry_delays_s = retry_delays_s
        self._queues = {name: _Queue(name) for name in (*(queue.name for queue in QUEUES), DEAD_LETTERS)}
        self._bound: dict[str, list[_Queue]] = {}
        for queue in QUEUES:
            for routing_key in queue.binds:
                self._bound.setdefault(routing_key, []).append(self._queues[queue.name])
        self._subscriptions: list[MemorySubscription] = []
        self._numbers = count()
        self._waiting: dict[int, tuple[float, str, _Message]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._started = False

    @property
    def longest_delay_s(self) -> float:
        """The longest retry delay."""
        return max(self._retry_delays_s)

    async def start(self) -> None:
        """Begin, or go on after `close()`: what waited for a retry waits for the rest of its time."""
        if self._started:
            return
        self._started = True
        for number in self._waiting:
            self._set_timer(number)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Put each into every queue bound for it. The routable ones go out even where another raises Unroutable."""
        self._check_started()
        homeless: Envelope | None = None
        for envelope in envelopes:
            body = envelope.to_body()
            queues = self._bound.get(envelope.routing_key, [])
            for queue in queues:
                queue.put(_Message(body, str(envelope.message_id), bus_headers.of_envelope(envelope)))
            if not queues:
                homeless = envelope
        if homeless is not None:
            raise Unroutable(f"no queue is bound for {homeless.routing_key!r} (message {homeless.message_id})")

    async def publish_raw(self, queue: str, body: bytes, headers: dict[str, str]) -> None:
        """Put the body into one queue."""
        self._check_started()
        self._check_queue(queue)
        message_id = headers.get(bus_headers.MESSAGE_ID) or str(uuid4())
        self._queues[queue].put(_Message(body, message_id, dict(headers)))

    async def consume(self, queue: str, on_delivery: OnDelivery, *, prefetch: int) -> MemorySubscription:
        """Run `on_delivery` for up to `prefetch` messages at a time."""
        self._check_started()
        self._check_queue(queue)
        subscription = MemorySubscription(self, self._queues[queue], on_delivery, prefetch)
        self._subscriptions.append(subscription)
        self._queues[queue].join(subscription)
        return subscription

    async def depth(self, queue: str) -> int:
        """Messages ready in the queue."""
        self._check_started()
        self._check_queue(queue)
        return len(self._queues[queue])

    async def ping(self) -> None:
        """Raises DependencyDown before `start()` and after `close()`."""
        self._check_started()

    async def close(self) -> None:
        """Stop handlers and timers; held messages go back to their queues."""
        self._started = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            await subscription.cancel()
        for subscription in subscriptions:
            await subscription.close()

    def check_delay(self, delay_s: float) -> None:
        """Raises ValueError for a delay that has no retry queue."""
        if delay_s not in self._retry_delays_s:
            raise ValueError(f"no retry queue waits {delay_s:g} s; there are {self._retry_delays_s}")

    def put_later(self, delay_s: float, queue: str, message: _Message) -> None:
        """Put a message into a queue when its delay is over."""
        number = next(self._numbers)
        self._waiting[number] = (asyncio.get_running_loop().time() + delay_s, queue, message)
        if self._started:
            self._set_timer(number)

    def bury(self, message: _Message, queue: str, reason: str) -> None:
        """Put a message into the dead letters."""
        headers = bus_headers.for_dead_letter(
            message.headers,
            reason=reason,
            queue=queue,
            attempt=bus_headers.read_attempt(message.headers, queue),
            message_id=message.message_id,
        )
        self._queues[DEAD_LETTERS].put(_Message(message.body, message.message_id, headers))

    def _set_timer(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        self._timers[number] = loop.call_at(self._waiting[number][0], self._hand_back(number))

    def _hand_back(self, number: int) -> Callable[[], None]:
        def put() -> None:
            self._timers.pop(number, None)
            _, queue, message = self._waiting.pop(number)
            self._queues[queue].put(message)

        return put

    def _check_queue(self, queue: str) -> None:
        if queue not in self._queues:
            raise Unroutable(f"there is no queue {queue!r}")

    def _check_started(self) -> None:
        if not self._started:
            raise DependencyDown("memory:// bus is not started, or closed")
