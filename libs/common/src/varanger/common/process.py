"""How every process runs: dependencies awaited, health served, work begun, SIGTERM drained.

A service is a list of consumers and loops. Its own `main.py` names them; the embedded mode runs all of them in one.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import structlog

from varanger.common.adapters import open_bus, open_object_store, open_predictor
from varanger.common.errors import DependencyDown
from varanger.common.ports.bus import Bus
from varanger.common.ports.objects import ObjectStore
from varanger.common.ports.predictor import Predictor
from varanger.common.retry import PAUSE_FIRST_S, PAUSE_LONGEST_S
from varanger.common.settings import Settings
from varanger.common.telemetry import metrics
from varanger.common.telemetry.health import Check, Health, Progress, QuietServer, health_app
from varanger.common.telemetry.logs import configure_logs

_log = structlog.get_logger()


class Closable(Protocol):
    """What an adapter must have to be wired."""

    async def close(self) -> None:
        """Let everything go."""


Opened = TypeVar("Opened", bound=Closable)


@dataclass(frozen=True)
class Loop:
    """Work that repeats: `step` says whether there may be more right away; else it waits `every_s`."""

    name: str
    step: Callable[[], Awaitable[bool]]
    every_s: float
    watched: bool = False
    """Liveness looks at it: a step never takes long, so one that does hangs."""


class Takes(Protocol):
    """Something that takes from queues: `Consumer`, or the recorder of dead letters."""

    async def start(self) -> None:
        """Begin. Raises DependencyDown where the bus is away."""

    async def stop(self) -> None:
        """Take nothing new, finish what is in hand, give the rest back."""


@dataclass
class Service:
    """What one process does."""

    name: str
    progress: Progress
    checks: Mapping[str, Check] = field(default_factory=dict)
    consumers: Sequence[Takes] = ()
    loops: Sequence[Loop] = ()


class Wiring:
    """Opens each adapter once, waits until it answers, closes it at the end. Shared by all services of a process."""

    def __init__(self, settings: Settings, stack: AsyncExitStack, stop: asyncio.Event) -> None:
        self.settings = settings
        self.stack = stack
        self.stop = stop
        self._opened: dict[str, Any] = {}

    async def once(self, key: str, opener: Callable[[], Awaitable[Opened]]) -> Opened:
        """What `opener` opens, opened at the first call and closed (`close()`) with the process."""
        if key not in self._opened:
            opened = await opener()
            self.stack.push_async_callback(opened.close)
            self._opened[key] = opened
        found: Opened = self._opened[key]
        return found

    async def bus(self) -> Bus:
        """The bus, started."""

        async def opener() -> Bus:
            bus = open_bus(self.settings.bus_url, retry_delays_s=self.settings.retry_delays_s)
            await until_up(bus.start, self.stop)
            return bus

        return await self.once("bus", opener)

    async def objects(self) -> ObjectStore:
        """The object store, answering."""

        async def opener() -> ObjectStore:
            store = open_object_store(self.settings.objects_url)
            await until_up(store.ping, self.stop)
            return store

        return await self.once("objects", opener)

    async def predictor(self) -> Predictor:
        """The predictor, which reads model files from the object store."""
        objects = await self.objects()

        async def opener() -> Predictor:
            return open_predictor(self.settings.predictor_url, objects.get, threads=self.settings.threads)

        return await self.once("predictor", opener)


Build = Callable[[Wiring], Awaitable[Service]]
"""Wires one service from what the wiring opens."""


async def run_service(service: Service, stop: asyncio.Event) -> None:
    """Run consumers and loops until `stop`, then drain."""
    loops = [asyncio.create_task(_repeat(loop, stop, service.progress), name=loop.name) for loop in service.loops]
    for consumer in service.consumers:
        await until_up(consumer.start, stop)
    _log.info("service.started", service=service.name)
    watched = asyncio.create_task(stop.wait())
    await asyncio.wait([watched, *loops], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    watched.cancel()
    await asyncio.gather(*(consumer.stop() for consumer in service.consumers))
    await asyncio.gather(*loops)
    _log.info("service.stopped", service=service.name)


async def until_up(begin: Callable[[], Awaitable[Any]], stop: asyncio.Event) -> None:
    """Call `begin` until its dependency is there; processes may start in any order."""
    pause = PAUSE_FIRST_S
    while not stop.is_set():
        try:
            await begin()
            return
        except DependencyDown as error:
            _log.warning("service.waiting", error=str(error), seconds=pause)
            await _wait(stop, pause)
            pause = min(pause * 2, PAUSE_LONGEST_S)


async def _repeat(loop: Loop, stop: asyncio.Event, progress: Progress) -> None:
    pause = PAUSE_FIRST_S
    while not stop.is_set():
        try:
            with progress.watching() if loop.watched else nullcontext():
                more = await loop.step()
            metrics.LOOP_RUNS.labels(loop.name, "done").inc()
            pause = PAUSE_FIRST_S
            if not more:
                await _wait(stop, loop.every_s)
        except DependencyDown as error:
            metrics.LOOP_RUNS.labels(loop.name, "down").inc()
            _log.warning("loop.paused", loop=loop.name, seconds=pause, error=str(error))
            await _wait(stop, pause)
            pause = min(pause * 2, PAUSE_LONGEST_S)
        except Exception:
            # A fault in one run must not end the loop; it is counted, logged with its trace, and tried again.
            metrics.LOOP_RUNS.labels(loop.name, "fault").inc()
            _log.exception("loop.fault", loop=loop.name, seconds=pause)
            await _wait(stop, pause)
            pause = min(pause * 2, PAUSE_LONGEST_S)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def run_process(name: str, build: Build) -> None:
    """The whole life of one process; returns after SIGTERM or SIGINT and a drain."""
    settings = Settings()
    configure_logs(name, log_format=settings.log_format, level=settings.log_level)
    asyncio.run(_live(name, build, settings))


async def _live(name: str, build: Build, settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        # Before anything is opened: who waits for its dependencies is alive, and no restart would mend them.
        health = Health(name, Progress(settings.stall_after_s), {})
        server = _serve_health(health, settings.health_port, stop) if settings.health_port else None
        try:
            service = await build(Wiring(settings, stack, stop))
            if not stop.is_set():
                health.begin(service.progress, service.checks)
                await run_service(service, stop)
        finally:
            if server is not None:
                await server()


def _serve_health(health: Health, port: int, stop: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """Serve it from now on; what ends it. Raises OSError there where the port was taken."""
    quiet = QuietServer(health_app(health), "0.0.0.0", port)  # noqa: S104 - probes come from outside the pod
    serving = asyncio.create_task(quiet.serve())
    serving.add_done_callback(lambda _: stop.set())  # a taken port: nobody could see whether it lives

    async def end() -> None:
        quiet.should_exit = True
        await serving

    return end
