"""`Idempotency-Key` on every POST, around the endpoints, so that none of them has to know of it.

What was asked must be known before the claim is made (`application/idempotency.py`). A JSON body is read whole first.
A form is told apart by its files, because the boundaries between its parts differ from try to try: its endpoint says
`only_once` when it has spooled them and before it changes anything. Another body of any length counts by the headers
that announce it.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from varanger.api.application import idempotency
from varanger.api.application.idempotency import Answer, Asked, Claim, InProgress, OtherRequest
from varanger.api.gateway.problems import Problem, as_problem
from varanger.api.gateway.security import get_caller, get_gateway
from varanger.common.catalog import Catalog
from varanger.common.errors import DependencyDown

KEY_PATTERN = "^[\\x21-\\x7e]{1,255}$"
HEADER = "idempotency-key"
REPLAYED = "Idempotent-Replayed"
ONCE = "varanger.once"
"""Where in a request's scope its `Once` is."""
RETRY_AFTER_S = 5
NOT_KEPT = frozenset({408, 429})
"""Like every fault of ours (5xx): the same request may well succeed the next time, so it is tried again."""

log = structlog.get_logger("varanger.api")


class Repeats:
    """ASGI middleware around the endpoints."""

    def __init__(self, app: ASGIApp, streams: Callable[[str], bool]) -> None:
        """`streams(path)`: whether this path's endpoint reads its body in pieces."""
        self._app = app
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "POST" or HEADER not in (request := Request(scope)).headers:
            await self._app(scope, receive, send)
            return
        try:
            once = await _read_key(request)
            if not self._streams(scope["path"]):
                receive = await _claim_by_body(once, receive)
            elif not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
                await once.claim(None)
        except (Problem, HTTPException, DependencyDown) as error:
            await as_problem(error).to_response(scope["path"])(scope, receive, send)
            return
        except Replay as replay:
            await replay.to_response()(scope, receive, send)
            return
        scope[ONCE] = once
        try:
            await self._app(scope, once.watch(receive), once.keep(send))
        finally:
            await once.end()


class Replay(Exception):
    """The request was carried out before."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def to_response(self) -> Response:
        """The answer of then."""
        return Response(self._answer.body, self._answer.status, {**self._answer.headers, REPLAYED: "true"})


def install_replay(app: FastAPI) -> None:
    """For endpoints that say `only_once` themselves."""

    @app.exception_handler(Replay)
    async def _replay(_: Request, replay: Replay) -> Response:
        return replay.to_response()


async def only_once(request: Request, content: Any) -> None:
    """Go on if this is the first time; without an `Idempotency-Key` always. `content`: what the body says, as JSON.

    Raises:
        Replay: it was carried out before.
        Problem: 409 while it is in progress, 422 if the key stands for something else.
    """
    once: Once | None = request.scope.get(ONCE)
    if once is not None:
        await once.claim(content)


class Once:
    """One request under a key: its claim, and what is kept of its answer."""

    def __init__(self, catalog: Catalog, request: Request, project_id: str, caller: str, key: str) -> None:
        self._catalog = catalog
        self._request = request
        self._project_id = project_id
        self._caller = caller
        self._key = key
        self._claim: Claim | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._whole = False
        self._cut = False
        self._start: Message | None = None
        self._body = bytearray()

    async def claim(self, content: Any) -> None:
        """Raises Replay, or Problem 409 or 422."""
        asked = Asked(self._project_id, self._caller, self._key, _fingerprint(self._request, content))
        try:
            claimed = await idempotency.claim(self._catalog, asked)
        except InProgress as error:
            raise Problem(
                409,
                f"Idempotency-Key: the request {self._key!r} is being carried out; ask again for its answer",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            ) from error
        except OtherRequest as error:
            raise Problem(
                422, f"Idempotency-Key: {self._key!r} was used for another request; give this one a key of its own"
            ) from error
        if isinstance(claimed, Answer):
            raise Replay(claimed)
        self._claim = claimed
        self._renewing = asyncio.create_task(self._renew(claimed))

    def watch(self, receive: Receive) -> Receive:
        """Notice a client that leaves before its body ended: what it is answered then is not worth keeping."""

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                self._cut = not self._whole
            elif not message.get("more_body", False):
                self._whole = True
            return message

        return watched

    def keep(self, send: Send) -> Send:
        """Hold the answer back until it is kept, so that nobody sees one that is told differently later."""

        async def kept(message: Message) -> None:
            if message["type"] == "http.response.start" and self._claim is not None and self._is_kept(message):
                self._start = message
                return
            if self._start is None or self._claim is None:
                await send(message)
                return
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._claim, self._start)
                await send(self._start)
                await send({"type": "http.response.body", "body": bytes(self._body), "more_body": False})

        return kept

    async def end(self) -> None:
        """Whatever happened: a claim that led to no kept answer is given up."""
        held, self._claim = self._claim, None
        await self._stop_renewing()
        if held is not None:
            with suppress(DependencyDown):  # then it is taken over when its time is up
                await idempotency.release(self._catalog, held)

    def _is_kept(self, start: Message) -> bool:
        status = int(start["status"])
        content_type = dict(start["headers"]).get(b"content-type", b"application/json")
        return status < 500 and status not in NOT_KEPT and not self._cut and b"json" in content_type

    async def _finish(self, held: Claim, start: Message) -> None:
        await self._stop_renewing()
        headers = {name.decode(): value.decode() for name, value in start["headers"] if name != b"content-length"}
        try:
            await idempotency.finish(self._catalog, held, Answer(int(start["status"]), headers, self._body.decode()))
        except DependencyDown as error:
            # It was carried out: the client is told so. Who asks again finds the claim, and later that it was.
            log.warning("idempotency.answer_not_kept", key=self._key, error=str(error))
        self._claim = None

    async def _renew(self, held: Claim) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), idempotency.CLAIM_S / 3)
                return
            try:
                if not await idempotency.renew(self._catalog, held):
                    return
            except DependencyDown as error:
                log.warning("idempotency.claim_not_renewed", key=self._key, error=str(error))

    async def _stop_renewing(self) -> None:
        self._over.set()
        if self._renewing is not None:
            await self._renewing
            self._renewing = None


async def _read_key(request: Request) -> Once:
    given = request.headers.getlist(HEADER)
    if len(given) != 1 or not re.fullmatch(KEY_PATTERN, given[0]):
        raise Problem(400, "Idempotency-Key: send one, of 1 to 255 visible ASCII characters (a UUID, for instance)")
    gateway = get_gateway(request)
    caller = await get_caller(request, gateway)
    return Once(gateway.catalog, request, caller.project_id, str(caller.key_id), given[0])


async def _claim_by_body(once: Once, receive: Receive) -> Receive:
    """Read the body, claim, and give the body to whoever reads next. A body that was cut claims nothing."""
    body = bytearray()
    last: Message = {"type": "http.request", "more_body": True}
    while last["type"] == "http.request" and last.get("more_body", False):
        last = await receive()
        body += last.get("body", b"")
    if last["type"] == "http.request":
        await once.claim(_content(bytes(body)))
        last = {"type": "http.request", "body": bytes(body), "more_body": False}
    messages = [last]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _content(body: bytes) -> str:
    """JSON as what it says, not as it is written; anything else by its hash."""
    try:
        return json.dumps(json.loads(body), sort_keys=True)
    except (ValueError, RecursionError):
        return hashlib.sha256(body).hexdigest()


def _fingerprint(request: Request, content: Any) -> str:
    asked = {
        "method": request.method,
        "path": request.url.path,
        "query": sorted(parse_qsl(request.url.query, keep_blank_values=True)),
        "headers": sorted(header for header in request.headers.items() if header[0].startswith("upload-")),
        "content": content,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
