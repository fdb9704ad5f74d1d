"""Real services for the contract suites: a fresh vhost and a fresh bucket per run, and a relay that can be cut."""

import asyncio
import base64
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest
import structlog
import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject

AMQP_URL = os.environ.get("VARANGER_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
S3_URL = os.environ.get("VARANGER_TEST_S3_URL", "http://varanger:varanger-secret@127.0.0.1:15700")


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> Iterator[None]:
    """structlog's default draws tracebacks with all locals, a fifth of a second for each."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def amqp_url() -> Iterator[str]:
    """The URL of a vhost that no other run has."""
    vhost = f"varanger-test-{uuid4().hex[:12]}"
    try:
        _make_vhost(vhost)
    except (OSError, urllib3.exceptions.HTTPError, subprocess.SubprocessError) as error:
        pytest.fail(f"No RabbitMQ to be had at {AMQP_URL} ({error}): run `make services`", pytrace=False)
    parts = urlsplit(AMQP_URL)
    yield f"{parts.scheme}://{parts.netloc}/{vhost}"
    _remove_vhost(vhost)


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """The URL of a bucket that no other run has; the store makes it."""
    bucket = f"varanger-test-{uuid4().hex[:12]}"
    parts = urlsplit(S3_URL)
    secure = parts.scheme == "https"
    pool = urllib3.PoolManager(timeout=10.0, retries=False)
    client = Minio(
        parts.netloc.rpartition("@")[2],
        access_key=parts.username,
        secret_key=parts.password,
        secure=secure,
        region="us-east-1",
        http_client=pool,
    )
    try:
        client.make_bucket(bucket)
    except Exception as error:
        pytest.fail(f"No S3 server to be had at {S3_URL} ({error}): run `make services`", pytrace=False)
    yield f"s3://{parts.netloc}/{bucket}?secure={str(secure).lower()}"
    names = (DeleteObject(found.object_name) for found in client.list_objects(bucket, recursive=True))
    faults = list(client.remove_objects(bucket, names))
    client.remove_bucket(bucket)
    pool.clear()
    assert not faults


def _rabbitmqctl(*arguments: str) -> None:
    subprocess.run(["rabbitmqctl", "-q", *arguments], check=True, capture_output=True, timeout=60)


def _can_use_rabbitmqctl() -> bool:
    local = urlsplit(AMQP_URL).hostname in {"127.0.0.1", "localhost"}
    return local and os.geteuid() == 0 and shutil.which("rabbitmqctl") is not None


def _management(method: str, path: str, body: bytes | None = None) -> None:
    """The broker's HTTP API (https://www.rabbitmq.com/docs/management#http-api), for one on another machine."""
    parts = urlsplit(AMQP_URL)
    port = os.environ.get("VARANGER_TEST_AMQP_MANAGEMENT_PORT", "15672")
    user = f"{parts.username or 'guest'}:{parts.password or 'guest'}"
    headers = {
        "Authorization": "Basic " + base64.b64encode(user.encode()).decode(),
        "Content-Type": "application/json",
    }
    url = f"http://{parts.hostname}:{port}/api/{path}"
    answer = urllib3.request(method, url, body=body, headers=headers, timeout=30.0, retries=False)
    if answer.status >= 300:
        raise OSError(f"{method} {url}: {answer.status}")


def _make_vhost(vhost: str) -> None:
    user = urlsplit(AMQP_URL).username or "guest"
    if _can_use_rabbitmqctl():
        _rabbitmqctl("add_vhost", vhost)
        _rabbitmqctl("set_permissions", "-p", vhost, user, ".*", ".*", ".*")
        return
    _management("PUT", f"vhosts/{vhost}", b"{}")
    allowed = b'{"configure": ".*", "write": ".*", "read": ".*"}'
    _management("PUT", f"permissions/{vhost}/{quote(user)}", allowed)


def _remove_vhost(vhost: str) -> None:
    if _can_use_rabbitmqctl():
        _rabbitmqctl("delete_vhost", vhost)
    else:
        _management("DELETE", f"vhosts/{vhost}")


class Relay:
    """A TCP relay before a service: `cut` is a service that is gone, `freeze` one that never answers."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drop every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for pump in self._pumps:
            pump.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
        self._pumps.clear()
        self._writers.clear()
        self._server = None

    def freeze(self) -> None:
        """Keep connections and accept new ones, but pass nothing on."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what was held back."""
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
        with suppress(OSError):
            await sink.wait_closed()


@pytest.fixture
async def relay_to() -> AsyncIterator[Callable[[str, int], Awaitable[Relay]]]:
    """Makes relays, and takes them down after the test."""
    relays: list[Relay] = []

    async def make(host: str, port: int) -> Relay:
        relay = Relay(host, port)
        await relay.open()
        relays.append(relay)
        return relay

    yield make
    for relay in relays:
        await relay.cut()
