"""The embedded mode: every service in one process, on a folder. A real mode for a laptop at a field station."""

import asyncio
import fcntl
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from varanger.api.gateway.app import create_app
from varanger.api.recorder import build_recorder
from varanger.api.relay import build_relay
from varanger.common.catalog import Catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.opening import wired_catalog
from varanger.common.errors import VarangerError
from varanger.common.ports.objects import ObjectStore
from varanger.common.process import Build, Wiring, run_service
from varanger.common.settings import Settings
from varanger.common.telemetry.health import QuietServer
from varanger.inference.main import build as build_inference
from varanger.ingest.main import build as build_ingest
from varanger.qc.main import build as build_qc
from varanger.trainer.main import build as build_trainer

SERVICES: tuple[Build, ...] = (build_relay, build_recorder, build_ingest, build_inference, build_qc, build_trainer)


class AlreadyRunning(VarangerError):
    """Another process works on this folder."""


@dataclass(frozen=True)
class Embedded:
    """What runs."""

    settings: Settings
    catalog: Catalog
    objects: ObjectStore
    url: str
    stop: asyncio.Event


def embedded_settings(folder: Path, *, port: int = 8000) -> Settings:
    """Settings for a data folder; what the environment names beyond URLs (limits, threads) still counts."""
    folder = folder.resolve()
    return Settings().model_copy(
        update={
            "bus_url": "memory://",
            "catalog_url": f"sqlite:///{folder / 'catalog.sqlite'}",
            "objects_url": f"file://{folder / 'objects'}",
            "predictor_url": "onnx://",
            "training_folder": folder / "training",
            "http_port": port,
        }
    )


@asynccontextmanager
async def running(settings: Settings, folder: Path) -> AsyncIterator[Embedded]:
    """Everything runs inside the `async with`; it is drained at its end.

    Raises:
        AlreadyRunning: another process holds the folder.
        OSError: the HTTP port is taken.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.enter_context(_FolderLock(folder))
        await asyncio.to_thread(migrate, settings.catalog_url)
        wiring = Wiring(settings, stack, stop)
        services = [await build(wiring) for build in SERVICES]
        catalog, objects = await wired_catalog(wiring), await wiring.objects()
        app = create_app(settings, catalog, objects, await wiring.bus(), local_reader=True)
        server = QuietServer(app, settings.http_host, settings.http_port)
        tasks = [asyncio.create_task(run_service(service, stop)) for service in services]
        web = asyncio.create_task(server.serve())
        for task in (*tasks, web):
            task.add_done_callback(lambda _: stop.set())  # one that ends, by a fault perhaps, ends all
        try:
            while not server.started:
                if web.done():
                    raise OSError(f"port {settings.http_port} is taken: give another with --port")
                await asyncio.sleep(0.02)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield Embedded(settings, catalog, objects, f"http://{settings.http_host}:{port}", stop)
        finally:
            stop.set()
            server.should_exit = True
            await asyncio.wait(tasks)
            await asyncio.gather(web, return_exceptions=True)
            await asyncio.gather(*tasks)  # a service that ended by a fault says so


async def keep_running(settings: Settings, folder: Path, say: Callable[[str], None]) -> None:
    """`varanger up`: run until SIGTERM or SIGINT."""
    async with running(settings, folder) as embedded:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, embedded.stop.set)
        say(embedded.url)
        await embedded.stop.wait()


class _FolderLock:
    """One process per data folder: the memory bus of a second one would know nothing of the first one's work."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "running.lock"
        self._handle: int | None = None

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._handle)
            raise AlreadyRunning(f"another `varanger up` works on {self._path.parent}; stop it first") from error

    def __exit__(self, *_exception: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
