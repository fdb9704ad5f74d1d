"""Gateways to test against, both over HTTP on a socket: one of a few lines that keeps to the contract, and the real one.

Each tells what it holds in the same words, so that a test need not know which it talks to.
"""

import asyncio
import base64
import hashlib
import json
import re
import socket
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Scope
from varanger.api.gateway.app import create_app
from varanger.client import VarangerClient
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.catalog import open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.settings import Settings
from varanger.common.telemetry.health import QuietServer

PROJECT, DEPLOYMENT = "tundra", "north-1"
LIMIT = 64 << 20


class Held(NamedTuple):
    """One row of what a gateway holds."""

    path: str
    sha256: str
    duplicate: bool


class Gateway(Protocol):
    """What tests need of one."""

    url: str
    key: str

    def held(self) -> list[Held]:
        """Every accepted row."""
        ...


@dataclass
class TusPart:
    """An upload in pieces."""

    path: str
    size: int
    sha256: str | None
    data: bytearray = field(default_factory=bytearray)
    verdict: dict[str, Any] | None = None


class FakeGateway:
    """Checks, takes files by their digest and in pieces, and keeps no bytes.

    The same path with the same content is the same offer, however often it is made.
    """

    def __init__(self) -> None:
        self.key = "vk_fake"
        self.lock = threading.Lock()
        self.rows: list[Held] = []
        self.first: dict[str, str] = {}
        self.tus: dict[str, TusPart] = {}
        self.asked: Counter[str] = Counter()
        self.lanes: set[str] = set()
        self.order: list[str] = []
        self.pieces: list[tuple[int, int]] = []
        self.refuse: Callable[[str, str], tuple[int, dict[str, str]] | None] = lambda _method, _path: None
        """(method, path) -> a status and headers to refuse with."""
        gateway = self

        class Handler(_Handler):
            fake = gateway

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=lambda: self.server.serve_forever(0.05))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()

    def held(self) -> list[Held]:
        with self.lock:
            return list(self.rows)

    def accept(self, path: str, sha256: str, lane: str) -> dict[str, Any]:
        with self.lock:
            known = sha256 in self.first
            media_id = self.first.setdefault(sha256, str(uuid.uuid4()))
            if not any((row.path, row.sha256) == (path, sha256) for row in self.rows):
                self.rows.append(Held(path, sha256, known))
            self.order.append(path)
            self.lanes.add(lane)
        verdict = "duplicate" if known else "accepted"
        return {"file": path, "verdict": verdict, "media_id": media_id, "sha256": sha256, "reason": ""}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake: FakeGateway

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def do_POST(self) -> None:
        if not self.is_allowed():
            return
        if self.route == "/v1/uploads/check":
            asked = json.loads(b"".join(self.body()))
            assert len(asked["sha256"]) <= 1000
            with self.fake.lock:
                known = {digest: self.fake.first.get(digest) for digest in asked["sha256"]}
            unknown = [digest for digest, media_id in known.items() if media_id is None]
            told = [{"sha256": digest, "media_id": media_id} for digest, media_id in known.items() if media_id]
            self.answer(200, {"unknown": unknown, "known": told})
            return
        assert self.route == "/v1/uploads/tus", self.route
        pairs = (pair.split(" ") for pair in self.headers["Upload-Metadata"].split(","))
        told = {name: base64.b64decode(value).decode() for name, value in pairs}
        upload_id = str(uuid.uuid4())
        part = TusPart(told["filename"], int(self.headers["Upload-Length"]), told.get("sha256"))
        self.fake.tus[upload_id] = part
        self.answer(201, None, Location=f"/v1/uploads/tus/{upload_id}", Upload_Offset="0")

    def do_PUT(self) -> None:
        if not self.is_allowed():
            return
        found = re.fullmatch(r"/v1/uploads/sha256/([0-9a-f]{64})", self.route)
        assert found, self.route
        digest = hashlib.sha256()
        for chunk in self.body():
            digest.update(chunk)
        if digest.hexdigest() != found[1]:
            self.refuse(422, "the bytes that came have another sha256")
            return
        verdict = self.fake.accept(self.query["path"], found[1], self.query["lane"])
        self.answer(200 if verdict["verdict"] == "duplicate" else 201, verdict)

    def do_HEAD(self) -> None:
        if self.is_allowed():
            part = self.fake.tus.get(self.route.rpartition("/")[2])
            if part is None:
                self.refuse(404, "there is no such upload")
            else:
                self.answer(200, None, **self.standing(part))

    def do_PATCH(self) -> None:
        if not self.is_allowed():
            return
        part = self.fake.tus.get(self.route.rpartition("/")[2])
        offset = int(self.headers["Upload-Offset"])
        if part is None or offset != len(part.data):
            self.refuse(404 if part is None else 409, "not there")
            return
        try:
            for chunk in self.body():
                part.data += chunk
        finally:
            self.fake.pieces.append((offset, len(part.data)))
        if len(part.data) == part.size:
            digest = hashlib.sha256(part.data).hexdigest()
            if part.sha256 not in (None, digest):
                self.refuse(460, "the bytes that came have another sha256")
                return
            part.verdict = self.fake.accept(part.path, digest, self.query.get("lane", "live"))
        self.answer(204, None, **self.standing(part))

    def standing(self, part: TusPart) -> dict[str, str]:
        told = {"Upload_Offset": str(len(part.data)), "Upload_Length": str(part.size)}
        if part.verdict:
            told |= {
                "Varanger_Verdict": part.verdict["verdict"],
                "Varanger_Media_Id": part.verdict["media_id"],
                "Varanger_Sha256": part.verdict["sha256"],
            }
        return told

    def is_allowed(self) -> bool:
        url = urlsplit(self.path)
        self.route, self.query = url.path, {name: values[0] for name, values in parse_qs(url.query).items()}
        self.fake.asked[f"{self.command} {self.route.split('/')[3]}"] += 1
        refusal = self.fake.refuse(self.command, self.route)
        if self.headers["Authorization"] != f"Bearer {self.fake.key}":
            refusal = 401, {}
        if refusal:
            self.refuse(refusal[0], "not for you", **refusal[1])
        return refusal is None

    def body(self) -> Iterator[bytes]:
        """Raises ConnectionError where it ends too early."""
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            chunk = self.rfile.read1(min(left, 1 << 16))
            if not chunk:
                raise ConnectionError("cut")
            left -= len(chunk)
            yield chunk

    def refuse(self, status: int, detail: str, **headers: str) -> None:
        self.close_connection = True
        self.answer(status, {"title": "No", "status": status, "detail": detail}, Connection="close", **headers)

    def answer(self, status: int, body: Any, **headers: str) -> None:
        content = b"" if body is None or self.command == "HEAD" else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@cache
def _migrated() -> bytes:
    """An empty catalog."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.sqlite"
        migrate(f"sqlite:///{path}")
        return path.read_bytes()


class RealGateway:
    """The gateway itself, embedded: SQLite, files, a bus in memory; in a thread of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.objects = folder / "objects"
        self.spool = folder / "spool"
        self.spool.mkdir(parents=True)
        (folder / "catalog.sqlite").write_bytes(_migrated())
        self._catalog_url = f"sqlite:///{folder / 'catalog.sqlite'}"
        self._settings = Settings(**{"max_file_bytes": LIMIT, **settings})
        self._up, self.keys = threading.Event(), {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._up.wait(60)
        self.key = self.keys["upload"]
        with self.admin() as client:
            client.create_project(PROJECT, "Tundra")
            client.put_deployment(PROJECT, DEPLOYMENT, location_id="north", time_zone="Europe/Oslo")

    def admin(self) -> VarangerClient:
        return VarangerClient(self.url, self.keys["admin"])

    async def _serve(self) -> None:
        catalog, objects = open_catalog(self._catalog_url), FileObjectStore(self.objects)
        bus = MemoryBus(self._settings.retry_delays_s)
        await bus.start()
        for scope in Scope:
            self.keys[scope.value] = await create_key(catalog, scopes=[scope], label=scope.value)
        app = create_app(self._settings, catalog, objects, bus, spool_folder=self.spool)
        self._server = QuietServer(app, "127.0.0.1", 0)
        self._up.set()
        await self._server.serve(sockets=[self._listener])
        await bus.close()
        await objects.close()
        await catalog.close()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert list(self.spool.iterdir()) == [], "the spool is left clean"

    def held(self) -> list[Held]:
        with self.admin() as client:
            found = list(client.media(PROJECT, limit=500))
        return [Held(str(one.original_path), one.sha256, one.state == "duplicate") for one in found]


@contextmanager
def gateway_of(kind: str, folder: Path) -> Iterator[Any]:
    """`fake` or `real`."""
    opened = FakeGateway() if kind == "fake" else RealGateway(folder)
    try:
        yield opened
    finally:
        opened.close()
