"""An answer that is given before the body was read must still arrive.

Closing a connection with unread bytes in it resets it, and the client, still sending, then never sees *why* it was
refused. So the answer goes out first, a little of the body is let through, the rest is held back for a moment, and
only then is the connection closed (what nginx calls lingering).
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LET_THROUGH_BYTES = 1 << 20
LINGER_S = 1.0


class EarlyAnswers:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        body = _Body(receive)

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
    """Passes the body on and knows whether it has ended."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def let_go(self) -> None:
        """Take a little more, so that a small body ends in peace; leave the client time to see the answer."""
        taken = 0
        try:
            async with asyncio.timeout(LINGER_S):
                while not self.ended and taken < LET_THROUGH_BYTES:
                    taken += len((await self.receive()).get("body", b""))
                if not self.ended:
                    await asyncio.sleep(LINGER_S)
        except TimeoutError:
            return


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
