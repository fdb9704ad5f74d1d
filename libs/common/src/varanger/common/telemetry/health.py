"""`/livez`, `/readyz`, `/metrics`. Liveness watches progress, not sockets: a restart mends a stuck worker, but never
a database that is away."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from varanger.common.errors import DependencyDown

Check = Callable[[], Awaitable[None]]
"""Raises DependencyDown (or anything else) where the dependency cannot be used."""


class Progress:
    """What liveness looks at: is there work in hand, and when did any of it last end?"""

    def __init__(self, stall_after_s: float) -> None:
        self._stall_after_s = stall_after_s
        self._held = 0
        self._paused = 0
        self._moved_at = time.monotonic()

    def take(self) -> None:
        """Work came in."""
        if self._held == 0:
            self._moved_at = time.monotonic()
        self._held += 1

    def end(self) -> None:
        """Work ended, in whatever way."""
        self._held -= 1
        self._moved_at = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Work from here to the end of the `with`."""
        self.take()
        try:
            yield
        finally:
            self.end()

    def pause(self, on: bool) -> None:
        """A dependency is down (or back): standing still is right then."""
        self._paused += 1 if on else -1
        self._moved_at = time.monotonic()

    @property
    def stalled_s(self) -> float:
        """Seconds without progress although there is work and nothing to wait for; else 0."""
        if self._held <= 0 or self._paused > 0:
            return 0.0
        return time.monotonic() - self._moved_at

    @property
    def alive(self) -> bool:
        """Whether a restart would be the wrong thing."""
        return self.stalled_s <= self._stall_after_s


class Health:
    """The three answers, for the ASGI app below and for the gateway's own routes."""

    def __init__(
        self, service: str, progress: Progress, checks: Mapping[str, Check], *, timeout_s: float = 3.0
    ) -> None:
        self._service = service
        self._progress = progress
        self._checks = checks
        self._timeout_s = timeout_s
        self.started = False
        """Set once the process has begun its work; before, it is alive and not ready."""

    def begin(self, progress: Progress, checks: Mapping[str, Check]) -> None:
        """From now on look at these: what they need was opened, and the work begins."""
        self._progress, self._checks, self.started = progress, checks, True

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Alive unless work stands still."""
        alive = self._progress.alive
        return alive, {"service": self._service, "alive": alive, "stalled_s": round(self._progress.stalled_s, 1)}

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Ready when everything this process needs answers."""
        names = list(self._checks)
        faults = await asyncio.gather(*(self._fault(self._checks[name]) for name in names))
        found = dict(zip(names, faults, strict=True))
        ready = self.started and not any(faults)
        return ready, {"service": self._service, "ready": ready, "checks": {n: f or "ok" for n, f in found.items()}}

    async def _fault(self, check: Check) -> str | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await check()
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except DependencyDown as error:
            return str(error)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None


def health_app(health: Health) -> Callable[..., Awaitable[None]]:
    """An ASGI app of three routes."""

    async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        content_type = "application/json"
        match scope["path"]:
            case "/livez":
                good, body = health.live()
            case "/readyz":
                good, body = await health.ready()
            case "/metrics":
                await _respond(send, 200, CONTENT_TYPE_LATEST, generate_latest())
                return
            case _:
                await _respond(send, 404, content_type, b'{"title":"not found: /livez, /readyz, /metrics"}')
                return
        await _respond(send, 200 if good else 503, content_type, json.dumps(body).encode())

    return app


async def _respond(send: Any, status: int, content_type: str, body: bytes) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class QuietServer(uvicorn.Server):
    """uvicorn inside a process that has its own signal handling."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        super().__init__(uvicorn.Config(app, host=host, port=port, log_config=None, lifespan="off", access_log=False))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Raises OSError where the port is taken; uvicorn's own SystemExit in a task ends the loop with no word."""
        try:
            await super().startup(sockets=sockets)
        except SystemExit as error:
            raise OSError(f"port {self.config.port} is taken") from error

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the process handles them, and tells this server to stop when its work is drained."""
        yield
