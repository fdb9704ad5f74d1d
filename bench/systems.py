"""Varanger running, as an operator runs it: embedded in one process, or each service a process on real parts.

    with distributed("fixed://?latency_ms=40") as system: ...

Run as a script it is the embedded process: `python bench/systems.py FOLDER PORT PREDICTOR_URL`.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
from own_services import own_bucket, own_database, own_vhost

from varanger.app.embedded import embedded_settings, keep_running
from varanger.common.catalog.migrate import migrate

START_WITHIN_S = 60.0
SERVICES = {
    "gateway": ("varanger.api.main", "serve"),
    "relay": ("varanger.api.main", "relay"),
    "recorder": ("varanger.api.main", "recorder"),
    "ingest": ("varanger.ingest.main",),
    "inference": ("varanger.inference.main",),
}


@dataclass(frozen=True)
class System:
    """A running Varanger, and what its processes used so far."""

    url: str
    catalog_url: str
    objects_url: str
    processes: Mapping[str, psutil.Popen]

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time of each process and all its children (ingest's ExifTool), by name."""
        return {name: _cpu_of(process) for name, process in self.processes.items()}


@contextmanager
def embedded(predictor_url: str) -> Iterator[System]:
    """All services in one process: memory bus, SQLite, files in a folder."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="varanger-bench-")))
        port = _free_port()
        command = [sys.executable, __file__, str(folder), str(port), predictor_url]
        process = stack.enter_context(_running("embedded", command, {}, folder))
        settings = embedded_settings(folder, port=port)
        system = System(f"http://127.0.0.1:{port}", settings.catalog_url, settings.objects_url, {"embedded": process})
        _until_ready(system, folder)
        yield system


@contextmanager
def distributed(predictor_url: str) -> Iterator[System]:
    """Five processes on RabbitMQ, PostgreSQL and S3, in a vhost, database and bucket of their own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="varanger-bench-")))
        port = _free_port()
        settings = {
            "VARANGER_BUS_URL": stack.enter_context(own_vhost()),
            "VARANGER_CATALOG_URL": stack.enter_context(own_database()),
            "VARANGER_OBJECTS_URL": stack.enter_context(own_bucket()),
            "VARANGER_PREDICTOR_URL": predictor_url,
            "VARANGER_HTTP_PORT": str(port),
        }
        migrate(settings["VARANGER_CATALOG_URL"])
        processes = {}
        for name, (module, *words) in SERVICES.items():
            command = [sys.executable, "-c", f"from {module} import main; main()", *words]
            processes[name] = stack.enter_context(_running(name, command, settings, folder))
        url = f"http://127.0.0.1:{port}"
        system = System(url, settings["VARANGER_CATALOG_URL"], settings["VARANGER_OBJECTS_URL"], processes)
        _until_ready(system, folder)
        yield system


@contextmanager
def gateway_alone() -> Iterator[System]:
    """The gateway on PostgreSQL and S3; what it takes in goes no further."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="varanger-bench-")))
        port = _free_port()
        settings = {
            "VARANGER_CATALOG_URL": stack.enter_context(own_database()),
            "VARANGER_OBJECTS_URL": stack.enter_context(own_bucket()),
            "VARANGER_HTTP_PORT": str(port),
        }
        migrate(settings["VARANGER_CATALOG_URL"])
        command = [sys.executable, "-c", "from varanger.api.main import main; main()", "serve"]
        processes = {"gateway": stack.enter_context(_running("gateway", command, settings, folder))}
        url = f"http://127.0.0.1:{port}"
        system = System(url, settings["VARANGER_CATALOG_URL"], settings["VARANGER_OBJECTS_URL"], processes)
        _until_ready(system, folder)
        yield system


MODES: Mapping[str, Callable[[str], AbstractContextManager[System]]] = {
    "embedded": embedded,
    "distributed": distributed,
}


@contextmanager
def _running(name: str, command: list[str], settings: Mapping[str, str], folder: Path) -> Iterator[psutil.Popen]:
    """One process, its log beside it; drained at the end."""
    with (folder / f"{name}.log").open("w") as log:
        process = psutil.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()


def _until_ready(system: System, folder: Path) -> None:
    """Wait for the gateway and everything behind it.

    Raises:
        RuntimeError: a process ended, or nothing answered in time; with the end of the logs.
    """
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and all(process.poll() is None for process in system.processes.values()):
        try:
            if httpx.get(f"{system.url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    ends = {name: (folder / f"{name}.log").read_text()[-1500:] for name in system.processes}
    raise RuntimeError("not started\n" + "\n".join(f"--- {name}\n{end}" for name, end in ends.items()))


def _cpu_of(process: psutil.Popen) -> float:
    """A child that ended already stands in its parent's `children_…`."""
    own = process.cpu_times()
    seconds = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        times = child.cpu_times()
        seconds += times.user + times.system + times.children_user + times.children_system
    return float(seconds)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _serve_embedded(folder: Path, port: int, predictor_url: str) -> None:
    settings = embedded_settings(folder, port=port).model_copy(update={"predictor_url": predictor_url})
    asyncio.run(keep_running(settings, folder, print))


if __name__ == "__main__":
    _serve_embedded(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
