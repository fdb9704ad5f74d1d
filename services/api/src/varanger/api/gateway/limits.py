"""Limits per key: how many requests a minute, how many bytes of bodies an hour.

Each gateway process counts for itself and begins anew with each start: behind n of them a key may get n times as much.
Limits keep one runaway uploader from starving the others; they are no accounts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from varanger.api.domain.access import Caller, KeyLimits
from varanger.api.domain.token_bucket import TokenBucket
from varanger.api.gateway.bodies import has_body
from varanger.api.gateway.problems import Problem

Clock = Callable[[], float]
"""Seconds, never going back."""
METER = "varanger.meter"
"""Where in a request's scope its meter is."""


@dataclass
class _Account:
    limits: KeyLimits
    requests: TokenBucket | None
    sent: TokenBucket | None


class Limits:
    """What each key may still ask of this gateway."""

    def __init__(self, for_all: KeyLimits, clock: Clock = time.monotonic) -> None:
        """`for_all`: the limits of a key that has none of its own."""
        self._for_all = for_all
        self._clock = clock
        self._accounts: dict[UUID, _Account] = {}

    def admit(self, caller: Caller, scope: Scope) -> None:
        """Count this request, and from now on every byte of its body.

        Only a request with a body waits for bytes that were sent before. Somebody without a key is not counted.

        Raises:
            Problem: 429, with the seconds to wait.
        """
        if caller.key_id is None:
            return
        account = self._account(caller.key_id, caller.limits)
        now = self._clock()
        if account.requests is not None:
            self._refuse(account.requests.wait_s(now), f"{account.requests.capacity:g} requests a minute")
        if account.sent is not None and has_body(scope):
            self._refuse(account.sent.wait_s(now), f"{account.sent.capacity:.0f} bytes an hour")
        if account.requests is not None:
            account.requests.take(1, now)
        meter: Meter | None = scope.get(METER)
        if meter is not None and account.sent is not None:
            meter.charge(account.sent, self._clock)

    def _account(self, key_id: UUID, limits: KeyLimits) -> _Account:
        account = self._accounts.get(key_id)
        if account is None or account.limits != limits:
            account = _Account(
                limits,
                self._bucket(limits.requests_per_minute, self._for_all.requests_per_minute, 60.0),
                self._bucket(limits.bytes_per_hour, self._for_all.bytes_per_hour, 3600.0),
            )
            self._accounts[key_id] = account
        return account

    def _bucket(self, own: int | None, for_all: int | None, fills_in_s: float) -> TokenBucket | None:
        capacity = for_all if own is None else own
        return TokenBucket(capacity, fills_in_s, self._clock()) if capacity else None

    def _refuse(self, wait_s: int, limit: str) -> None:
        if wait_s:
            raise Problem(
                429,
                f"this key may send this gateway {limit}, and has; try again in {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )


class Meter:
    """Counts the body of one request, and charges it to a bucket as soon as it is known whose it is."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._uncharged = 0
        self._bucket: TokenBucket | None = None
        self._clock: Clock = time.monotonic

    async def receive(self) -> Message:
        """The next message of the body, counted."""
        message = await self._receive()
        self._uncharged += len(message.get("body", b""))
        self._settle()
        return message

    def charge(self, bucket: TokenBucket, clock: Clock) -> None:
        """From now on this bucket, for what was read already too: a JSON body is read before its key is looked at."""
        self._bucket, self._clock = bucket, clock
        self._settle()

    def _settle(self) -> None:
        if self._bucket is not None and self._uncharged:
            self._bucket.take(self._uncharged, self._clock())
            self._uncharged = 0


class Metered:
    """ASGI middleware: gives every request a meter. What is let through after an early answer is not counted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and has_body(scope):
            scope[METER] = meter = Meter(receive)
            receive = meter.receive
        await self._app(scope, receive, send)
