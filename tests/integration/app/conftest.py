"""The embedded mode as a person starts it: `varanger up` in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

COMMAND = [sys.executable, "-c", "from varanger.app.cli import main; main()"]
"""What the console script `varanger` runs."""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def varanger() -> Run:
    """Run one `varanger` command to its end."""

    def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=240, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


class Up:
    """A running `varanger up`."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it is ready."""
        log = (self.data.parent / "up.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*COMMAND, "up", "--data", str(self.data), "--port", str(self.port)],
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        self.until(lambda: httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200)

    def kill(self) -> None:
        """`kill -9`: no drain, no goodbye."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        self._process = None

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        code = self._process.wait(60)
        self._process = None
        return code

    def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait for it."""
        deadline = time.monotonic() + seconds
        while True:
            assert self._process is None or self._process.poll() is None, (self.data.parent / "up.log").read_text()
            try:
                if condition():
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, (self.data.parent / "up.log").read_text()
            time.sleep(0.1)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Started by the test; stopped after it."""
    running = Up(tmp_path / "data")
    yield running
    running.stop()
