"""Bodies: how much of one is read, and an answer that is given before one was.

An answer that is given before the body was read must still arrive.
Closing a connection with unread bytes in it resets it, and the client, still sending, then never sees *why* it was
refused. So the answer goes out first, some of the body is let through, unkept, the rest is held back for a moment, and
only then is the connection closed (what nginx calls lingering).
"""

import asyncio
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_JSON_BYTES = 16 << 20
"""Of every body but an upload's, which has limits of its own: these are held in memory, whoever sends them."""
LET_THROUGH_BYTES = 64 << 20
"""Clients that cannot read while they send (most of Python's) see the answer if their body ends within this."""
LINGER_S = 2.0
LONGEST_SILENCE_S = 300.0
"""A client that sends nothing for this long is gone, whatever its connection says."""


class Bodies:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, streams: Callable[[str], bool]) -> None:
        """`streams(path)`: whether this path's endpoint reads its body in pieces and caps it itself."""
        self._app = app
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not has_body(scope):
            await self._app(scope, receive, send)
            return
        body = _Body(receive, None if self._streams(scope["path"]) else LARGEST_JSON_BYTES)

        async def answer(message: Message) -> None:
            if body.ended:
                await send(message)
            elif message["type"] == "http.response.start":
                await send({**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]})
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await body.let_go()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await send(message)

        await self._app(scope, body.receive, answer)


class _Body:
    """Passes the body on, up to its limit, and knows whether it has ended."""

    def __init__(self, receive: Receive, limit: int | None) -> None:
        self._receive = receive
        self._limit = limit
        self._read = 0
        self.ended = False

    async def receive(self) -> Message:
        message = await (self._next() if self._limit is None or self.ended else self._next_in_time())
        self._read += len(message.get("body", b""))
        if self._limit is not None and self._read > self._limit:
            raise HTTPException(413, f"the body is larger than {self._limit} bytes, the limit for anything but files")
        return message

    async def _next_in_time(self) -> Message:
        try:
            async with asyncio.timeout(LONGEST_SILENCE_S):
                return await self._next()
        except TimeoutError as error:
            raise HTTPException(408, f"nothing came for {LONGEST_SILENCE_S:g} seconds; send it again") from error

    async def _next(self) -> Message:
        message = await self._receive()
        self.ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def let_go(self) -> None:
        """Take a little more, so that a small body ends in peace; leave the client time to see the answer."""
        taken = 0
        try:
            async with asyncio.timeout(LINGER_S):
                while not self.ended and taken < LET_THROUGH_BYTES:
                    taken += len((await self._next()).get("body", b""))
                if not self.ended:
                    await asyncio.sleep(LINGER_S)
        except TimeoutError:
            return


def has_body(scope: Scope) -> bool:
    """Whether a body comes with this request, by its headers."""
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
