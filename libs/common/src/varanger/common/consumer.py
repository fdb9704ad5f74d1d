"""Takes deliveries, runs a handler on batches of them, and ends each in exactly one way. The policy is `retry.py`.

Ack comes last: after the handler's effects are durable and its answers are confirmed by the bus.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from varanger.common.errors import BadMessage, DependencyDown
from varanger.common.messages import Envelope
from varanger.common.ports.bus import Bus, Delivery, Subscription
from varanger.common.retry import RETRY_DELAYS_S, DeadLetter, Pause, RetryLater, decide, describe
from varanger.common.telemetry import metrics
from varanger.common.telemetry.health import Progress
from varanger.common.telemetry.trace import trace_id
from varanger.common.topology import Queue

Handler = Callable[[Sequence[Envelope]], Awaitable[Sequence[Envelope]]]
"""Handles a batch; the envelopes it returns are published before the batch is acknowledged. It must be idempotent.
When it raises on a batch of several, each is run again alone, so that one bad message never stops a batch."""

BULK_TURN = 10
"""Every tenth batch begins with the last queue (bulk), so that a flood of live work never starves it."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class _Held:
    delivery: Delivery
    envelope: Envelope


class Consumer:
    """Consumes queues in order of preference (live, then bulk) with one handler."""

    def __init__(
        self,
        name: str,
        bus: Bus,
        queues: Sequence[Queue],
        handler: Handler,
        progress: Progress,
        *,
        batch: int = 1,
        prefetch: int = 16,
        concurrency: int = 1,
        retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S,
        count_tries: bool = True,
    ) -> None:
        """Consume `queues`, the preferred one first.

        Args:
            count_tries: hand the handler envelopes whose `attempt` is the try in this queue, as who *does* the work
                must; False leaves the sender's number, as who *records* what was done must.
        """
        self._name = name
        self._bus = bus
        self._queues = queues
        self._handler = handler
        self._progress = progress
        self._batch = batch
        self._prefetch = prefetch
        self._concurrency = concurrency
        self._retry_delays_s = retry_delays_s
        self._count_tries = count_tries
        self._held: set[Delivery] = set()
        self._waiting: list[deque[Delivery]] = [deque() for _ in queues]
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._workers: list[asyncio.Task[None]] = []
        self._turn = 0

    async def start(self) -> None:
        """Begin to consume. Raises DependencyDown where the bus is away."""
        begun = len(self._subscriptions)  # where an earlier start came only so far
        for waiting, queue in list(zip(self._waiting, self._queues, strict=True))[begun:]:
            subscription = await self._bus.consume(queue.name, self._accept(waiting), prefetch=self._prefetch)
            self._subscriptions.append(subscription)
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._concurrency)]

    async def stop(self, drain_s: float = 20.0) -> None:
        """Take nothing new, finish what is in hand within `drain_s`, give the rest back."""
        for subscription in self._subscriptions:
            await subscription.cancel()
        self._stopping.set()
        self._arrived.set()
        _, late = await asyncio.wait(self._workers, timeout=drain_s) if self._workers else (None, set())
        for worker in late:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for waiting in self._waiting:
            while waiting:
                await self._end(waiting.popleft(), "requeued", lambda delivery: delivery.requeue())

    def _accept(self, waiting: "deque[Delivery]") -> Callable[[Delivery], Awaitable[None]]:
        async def accept(delivery: Delivery) -> None:
            self._progress.take()
            metrics.IN_FLIGHT.labels(self._name).inc()
            self._held.add(delivery)
            waiting.append(delivery)
            self._arrived.set()

        return accept

    async def _work(self) -> None:
        while not self._stopping.is_set():
            batch = self._take()
            if not batch:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            try:
                await self._run(batch)
            except Exception as error:
                _log.exception("consumer.ending_failed", consumer=self._name)
                await self._rescue(batch, error)

    async def _rescue(self, batch: Sequence[Delivery], fault: Exception) -> None:
        """An ending itself failed: the worker lives on, and what it held goes to the dead letters, where it is seen.

        What cannot go there either stays held: liveness tells, and the broker hands it out again after the restart.
        """
        for delivery in batch:
            if delivery in self._held:
                try:
                    await self._bury(delivery, f"could not be ended: {describe(fault)}")
                except Exception:
                    _log.exception("consumer.not_buried", consumer=self._name, queue=delivery.queue)

    def _take(self) -> list[Delivery]:
        """Up to one batch, preferred queue first. A delivery that failed before runs alone."""
        self._turn += 1
        queues = self._waiting if self._turn % BULK_TURN else self._waiting[::-1]
        batch: list[Delivery] = []
        for waiting in queues:
            while waiting and len(batch) < self._batch:
                if waiting[0].attempt > 1:
                    if batch:
                        return batch
                    return [waiting.popleft()]
                batch.append(waiting.popleft())
        return batch

    async def _run(self, batch: list[Delivery]) -> None:
        held: list[_Held] = []
        for delivery in batch:
            try:
                envelope = Envelope.from_body(delivery.body)
            except BadMessage as error:
                await self._bury(delivery, describe(error))
            else:
                attempt = delivery.attempt if self._count_tries else envelope.attempt
                held.append(_Held(delivery, envelope.model_copy(update={"attempt": attempt})))
        if not held:
            return
        metrics.BATCH_SIZE.labels(self._name).observe(len(held))
        fault = await self._apply(held)
        if fault is not None and len(held) > 1:
            for one in held:
                await self._settle(one, await self._apply([one]))
        elif fault is not None:
            await self._settle(held[0], fault)

    async def _apply(self, held: Sequence[_Held]) -> Exception | None:
        """Handle, publish, ack; pauses while a dependency is down. None, or why it failed; nothing is ended then."""
        pauses = 0
        while True:
            try:
                await self._handle(held)
            except DependencyDown as error:
                await self._pause(error, pauses)
                pauses += 1
                if self._stopping.is_set():
                    for one in held:
                        await self._end(one.delivery, "requeued", lambda delivery: delivery.requeue())
                    return None
            except Exception as error:
                return error
            else:
                for one in held:
                    await self._end(one.delivery, "done", lambda delivery: delivery.ack())
                return None

    async def _handle(self, held: Sequence[_Held]) -> None:
        first = held[0].envelope
        with structlog.contextvars.bound_contextvars(
            message=first.type, project=first.project_id, trace=trace_id(first.traceparent), batch=len(held)
        ):
            begun = time.perf_counter()
            answers = await self._handler([one.envelope for one in held])
            metrics.HANDLER_SECONDS.labels(self._name).observe(time.perf_counter() - begun)
            if answers:
                await self._bus.publish(answers)

    async def _settle(self, held: _Held, error: Exception | None) -> None:
        """End a delivery whose handler raised on it alone."""
        if error is None:
            return
        envelope, delivery = held.envelope, held.delivery
        decision = decide(error, attempt=delivery.attempt, pauses=0, delays_s=self._retry_delays_s)
        _log.warning(
            "consumer.fault",
            consumer=self._name,
            message=envelope.type,
            message_id=str(envelope.message_id),
            attempt=delivery.attempt,
            decision=type(decision).__name__,
            error=describe(error),
            exc_info=not isinstance(error, BadMessage),
        )
        match decision:
            case RetryLater(delay_s):
                await self._end(delivery, "retried", lambda delivery: delivery.retry(delay_s))
            case DeadLetter(reason):
                await self._bury(delivery, reason)
            case Pause():
                raise AssertionError("a pause is taken where the handler runs")

    async def _bury(self, delivery: Delivery, reason: str) -> None:
        await self._end(delivery, "dead", lambda delivery: delivery.dead_letter(reason))

    async def _end(self, delivery: Delivery, outcome: str, ending: Callable[[Delivery], Awaitable[None]]) -> None:
        """End it, waiting for the bus where the ending needs it."""
        pauses = 0
        while True:
            try:
                await ending(delivery)
                break
            except DependencyDown as error:
                if self._stopping.is_set():
                    break  # not ended: the broker hands it out again
                await self._pause(error, pauses)
                pauses += 1
        self._held.discard(delivery)
        metrics.MESSAGES.labels(delivery.queue, outcome).inc()
        metrics.IN_FLIGHT.labels(self._name).dec()
        self._progress.end()

    async def _pause(self, error: DependencyDown, pauses: int) -> None:
        decision = decide(error, attempt=1, pauses=pauses)
        seconds = decision.seconds if isinstance(decision, Pause) else 0.0
        _log.warning("consumer.paused", consumer=self._name, seconds=seconds, error=str(error))
        self._progress.pause(True)
        metrics.PAUSED.labels(self._name).set(1)
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
        finally:
            self._progress.pause(False)
            metrics.PAUSED.labels(self._name).set(0)
