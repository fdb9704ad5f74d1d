"""A process whose dependencies are away says that it lives, so that nobody restarts it for their sake."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx


def test_livez_answers_before_the_broker_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe, socket.create_server(("127.0.0.1", 0)) as silent:
        port, nobody = probe.getsockname()[1], silent.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "varanger.ingest.main"],
        env={**os.environ, "VARANGER_BUS_URL": f"amqp://127.0.0.1:{nobody}/", "VARANGER_HEALTH_PORT": str(port)},
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                live = httpx.get(f"http://127.0.0.1:{port}/livez", timeout=5)
                break
            except httpx.TransportError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert live.status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 503
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
