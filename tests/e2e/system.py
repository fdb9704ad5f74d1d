"""Varanger as its own processes: started, killed and restarted as containers would be, and spoken to from outside."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import httpx
from tests.e2e.containers import Container, own_environment, read_containers, to_argv
from tests.e2e.runs import Run

from varanger.client import VarangerClient

READY_WITHIN_S = 120.0
STOP_WITHIN_S = 40.0
SHOWN_LINES = 40
WORKERS = ("relay", "recorder", "ingest", "inference", "qc", "trainer")
TUNED = ("VARANGER_RETRY_DELAYS_S", "VARANGER_RECONCILE_AFTER_S", "VARANGER_LOG_LEVEL")
"""Settings that compose leaves at their defaults, and that a test may shorten its waiting by."""
COUNTERS = re.compile(r"^varanger_(?:messages|outbox_published)_total\{[^}]*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Addresses:
    """Where the real services are."""

    bus: str
    catalog: str
    objects: str
    predictor: str

    def settings(self) -> dict[str, str]:
        """As the settings have them."""
        return {
            "VARANGER_BUS_URL": self.bus,
            "VARANGER_CATALOG_URL": self.catalog,
            "VARANGER_OBJECTS_URL": self.objects,
            "VARANGER_PREDICTOR_URL": self.predictor,
        }


class Process:
    """One container's command, running, or not."""

    def __init__(self, container: Container, folder: Path, changed: dict[str, str]) -> None:
        self.name = container.name
        self.port = free_port()
        self.log = folder / "log"
        self._argv = to_argv(container.command)
        self._folder = folder
        changed = changed | {"VARANGER_TRAINING_FOLDER": str(folder / "training")}
        named = {name: value for name, value in changed.items() if name in container.environment or name in TUNED}
        self._environment = own_environment(folder) | container.environment | named
        self._environment[container.port_variable] = str(self.port)
        unresolved = [name for name, value in self._environment.items() if "${" in value]
        assert not unresolved, f"{self.name}: compose gives {unresolved}, the test gives no value"
        self._popen: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        folder.mkdir(parents=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin; its output goes behind what it wrote before."""
        assert self._popen is None, f"{self.name} runs already"
        self._output = self.log.open("ab")
        self._popen = subprocess.Popen(
            self._argv,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def kill(self) -> int:
        """`kill -9`; its exit status."""
        return self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; its exit status. A process that does not go is killed, and that is a fault."""
        return self._end(signal.SIGTERM)

    def run_to_end(self, within_s: float = READY_WITHIN_S) -> int:
        """Start it and wait for its end; the exit status."""
        self.start()
        assert self._popen is not None
        status = self._popen.wait(within_s)
        self._forget()
        return status

    def is_ready(self) -> bool:
        """Whether /readyz says so.

        Raises:
            AssertionError: it has ended.
        """
        assert self._popen is not None, f"{self.name} was not started"
        ended = self._popen.poll()
        assert ended is None, f"{self.name} ended with status {ended}:\n{self.tail()}"
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5.0).status_code == 200
        except httpx.TransportError:
            return False

    def handled(self) -> float:
        """How many messages it has ended or sent since it was started."""
        try:
            return sum(float(found) for found in COUNTERS.findall(httpx.get(f"{self.url}/metrics", timeout=5.0).text))
        except httpx.TransportError:
            return 0.0

    def tail(self) -> str:
        """The last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]) if self.log.exists() else ""

    @property
    def runs(self) -> bool:
        """Whether it was started and not ended by us."""
        return self._popen is not None

    def _end(self, number: signal.Signals) -> int:
        assert self._popen is not None, f"{self.name} does not run"
        os.kill(self._popen.pid, number)
        try:
            return self._popen.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
            raise AssertionError(f"{self.name} did not end within {STOP_WITHIN_S:g} s:\n{self.tail()}") from None
        finally:
            self._forget()

    def _forget(self) -> None:
        self._popen = None
        if self._output is not None:
            self._output.close()


class System:
    """All containers of ours on one set of real services."""

    def __init__(self, addresses: Addresses, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.addresses = addresses
        self._folder = folder
        self._clients: list[VarangerClient] = []
        changed = addresses.settings() | (settings or {})
        self.processes = {
            name: Process(container, folder / name, changed) for name, container in read_containers().items()
        }

    def start(self) -> None:
        """Migrate, then all at once, then wait until all are ready."""
        status = self.processes["migrate"].run_to_end()
        assert status == 0, self.processes["migrate"].tail()
        for name in ("api", *WORKERS):
            self.processes[name].start()
        self.wait_ready()

    def wait_ready(self, names: Iterable[str] = ("api", *WORKERS)) -> None:
        """Wait until each of these answers /readyz with 200."""
        for name in names:
            process = self.processes[name]
            wait_until(process.is_ready, READY_WITHIN_S, process.tail)

    def restart(self, name: str) -> None:
        """Start a killed one again, without waiting for it."""
        self.processes[name].start()

    def command(self, *words: str) -> str:
        """Run the command line `varanger` against this system; its output.

        Raises:
            AssertionError: it failed.
        """
        environment = own_environment(self._folder) | self.addresses.settings() | {"COLUMNS": "200"}
        done = subprocess.run(
            to_argv(("varanger", *words)),
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=READY_WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @cached_property
    def key(self) -> str:
        """A key for everything, made as an operator makes one."""
        scopes = [word for scope in ("upload", "read", "review", "admin") for word in ("--scope", scope)]
        return self.command("key", "create", "--project", "*", *scopes, "--label", "e2e").split()[-1]

    def client(self, key: str) -> VarangerClient:
        """A client of the gateway, closed with the system."""
        client = VarangerClient(self.processes["api"].url, key, timeout_s=60.0)
        self._clients.append(client)
        return client

    def new_run(self, project: str) -> Run:
        """A project of its own with every right in it, and the demonstration release in force."""
        run = Run(self.client(self.key), self.processes["api"].url, self.key, project, self.tails)
        run.client.create_project(project)
        self.command("release", "import", "demo", "--project", project, "--promote")
        return run

    def tails(self) -> str:
        """The end of every process's log."""
        return "\n".join(f"--- {name}\n{process.tail()}" for name, process in self.processes.items())

    def close(self) -> None:
        """Stop everything."""
        for client in self._clients:
            client.close()
        for process in self.processes.values():
            if process.runs:
                process.kill()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(reached: Callable[[], bool], within_s: float, told: Callable[[], str], every_s: float = 0.1) -> None:
    """Poll.

    Raises:
        AssertionError: not reached in time; `told` says what there was.
    """
    until = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < until, f"not within {within_s:g} s: {told()}"
        time.sleep(every_s)
