"""A gateway of a few lines behind the client, without sockets: what it was asked, and what it says next."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from varanger.client import VarangerClient

Answer = httpx.Response | Exception
Respond = Callable[[httpx.Request], httpx.Response]


def files_of(request: httpx.Request) -> list[tuple[str, bytes]]:
    """The files of a multipart form: name as sent, content."""
    boundary = b"--" + request.headers["content-type"].partition("boundary=")[2].encode()
    found = []
    for part in request.content.split(boundary)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        found.append((head.split(b'filename="')[1].split(b'"')[0].decode(), body.removesuffix(b"\r\n")))
    return found


@dataclass
class FakeGateway:
    """Takes every file it is sent, the second of the same content as a duplicate; says `next` first where there is one."""

    requests: list[httpx.Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    next: list[Answer] = field(default_factory=list)
    answer: Respond | None = None
    known: dict[str, str] = field(default_factory=dict)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.next:
            answer = self.next.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return self.answer(request) if self.answer else self.take(request)

    def take(self, request: httpx.Request) -> httpx.Response:
        results = []
        for name, content in files_of(request):
            digest = hashlib.sha256(content).hexdigest()
            verdict = "duplicate" if digest in self.known else "accepted"
            media_id = self.known.setdefault(digest, f"media-{len(self.known) + 1}")
            results.append(
                {"file": name, "verdict": verdict, "media_id": media_id, "sha256": digest, "reason": verdict[:9]}
            )
        return httpx.Response(201, json={"results": results})

    def sent(self) -> list[list[str]]:
        """The names in each upload so far."""
        return [[name for name, _ in files_of(request)] for request in self.requests]

    @property
    def last_json(self) -> object:
        return json.loads(self.requests[-1].content)


def problem(status: int, detail: str = "", **headers: str) -> httpx.Response:
    body = {"type": "about:blank", "title": "No", "status": status, "detail": detail}
    kept = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json", **kept})


@pytest.fixture
def refusal() -> Callable[..., httpx.Response]:
    return problem


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def client(gateway: FakeGateway) -> Iterator[VarangerClient]:
    with VarangerClient(
        "http://gateway",
        " vk_key\n",
        transport=httpx.MockTransport(gateway.handle),
        sleep=gateway.slept.append,
        tries=4,
    ) as opened:
        yield opened
