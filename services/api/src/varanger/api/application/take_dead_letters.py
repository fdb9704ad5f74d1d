"""Consumes the dead letters. Not a `Consumer`: a body here may be anything, and giving up is not an option."""

import asyncio

import structlog

from varanger.api.application.dead_letters import record_dead_letter
from varanger.common.catalog.database import Catalog
from varanger.common.errors import DependencyDown
from varanger.common.ports.bus import Bus, Delivery, Subscription
from varanger.common.retry import PAUSE_FIRST_S, PAUSE_LONGEST_S, describe
from varanger.common.telemetry import metrics
from varanger.common.telemetry.health import Progress
from varanger.common.topology import DEAD_LETTERS

_log = structlog.get_logger()


class DeadLetterTaker:
    """Turns what arrives in `dead-letters` into catalog rows, one after another."""

    def __init__(self, bus: Bus, catalog: Catalog, progress: Progress, *, prefetch: int = 16) -> None:
        self._bus = bus
        self._catalog = catalog
        self._progress = progress
        self._prefetch = prefetch
        self._one_by_one = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._subscription: Subscription | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin. Raises DependencyDown where the bus is away."""
        self._subscription = await self._bus.consume(DEAD_LETTERS, self._accept, prefetch=self._prefetch)

    async def stop(self) -> None:
        """Take nothing new; finish what is in hand."""
        if self._subscription is not None:
            await self._subscription.cancel()
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _accept(self, delivery: Delivery) -> None:
        self._progress.take()
        task = asyncio.create_task(self._take(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, delivery: Delivery) -> None:
        try:
            async with self._one_by_one:
                await self._record(delivery)
        except Exception:
            # Not ended, so it stays the broker's and comes again; the next ones are not held up by it.
            _log.exception("dead_letters.not_ended", queue=delivery.headers.get("x-queue"))
        finally:
            self._progress.end()

    async def _record(self, delivery: Delivery) -> None:
        pause = PAUSE_FIRST_S
        while not self._stopping.is_set():
            try:
                await record_dead_letter(self._catalog, delivery)
            except DependencyDown as error:
                _log.warning("dead_letters.paused", seconds=pause, error=str(error))
                await self._pause(pause)
                pause = min(pause * 2, PAUSE_LONGEST_S)
            except Exception as error:
                # Nothing stands behind this queue: it waits for the longest retry delay, and the others go first.
                _log.exception("dead_letters.put_off", queue=delivery.headers.get("x-queue"))
                metrics.MESSAGES.labels(delivery.queue, "retried").inc()
                await delivery.dead_letter(describe(error))
                return
            else:
                await delivery.ack()
                _log.warning("dead_letters.recorded", queue=delivery.headers.get("x-queue"))
                metrics.MESSAGES.labels(delivery.queue, "done").inc()
                return
        await delivery.requeue()

    async def _pause(self, seconds: float) -> None:
        self._progress.pause(True)
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
        finally:
            self._progress.pause(False)
