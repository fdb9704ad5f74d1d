"""A service of the embedded mode that ends by a fault ends the whole, and is not missed in silence."""

import asyncio
import socket
from pathlib import Path

import pytest

from varanger.app import embedded
from varanger.common.errors import Unroutable
from varanger.common.process import Service, Wiring
from varanger.common.telemetry.health import Progress


class Impossible:
    """Takes from a queue that nobody declared."""

    async def start(self) -> None:
        raise Unroutable("there is no queue 'x'")

    async def stop(self) -> None:
        """Nothing was begun."""


async def _build(_: Wiring) -> Service:
    return Service("impossible", Progress(60), consumers=[Impossible()])


async def test_a_service_that_ends_by_a_fault_ends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "SERVICES", (*embedded.SERVICES[:2], _build))
    with pytest.raises(Unroutable):
        async with embedded.running(embedded.embedded_settings(tmp_path, port=0), tmp_path) as running:
            async with asyncio.timeout(30):
                await running.stop.wait()


async def test_a_port_that_is_taken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "SERVICES", embedded.SERVICES[:2])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = embedded.embedded_settings(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="is taken"):
            async with embedded.running(settings, tmp_path):
                pass
