"""The one policy of trying again: when, how long to wait first, and when not. No clock, no sockets."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from varanger.client.errors import GatewayAway, RequestRefused

ASK_AGAIN = frozenset({408, 425, 429})
NOT_OFFERED = 501
"""Of all 5xx the only final no; the others (507, 511, a proxy's 520) are trouble that passes."""
NOTHING_DONE = frozenset({429, 503})
"""The gateway says with these that it recorded nothing (docs/schemas/openapi.json)."""
IN_PROGRESS = 409
"""With `Retry-After`: the same request, by its Idempotency-Key, is being worked on; its answer comes later."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
LONGEST_RETRY_AFTER_S = 600.0


class Backoff:
    """Growing pauses with a random part, so that many field gateways do not come back at once."""

    def __init__(self, longest_s: float = LONGEST_PAUSE_S) -> None:
        self._longest_s = longest_s
        self._next_s = FIRST_PAUSE_S

    def pause(self, asked_for_s: float = 0.0) -> float:
        """Seconds to wait now, at least `asked_for_s`; the next pause is longer."""
        now_s = self._next_s
        self._next_s = min(now_s * 2, self._longest_s)
        return asked_for_s + now_s * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret

    def reset(self) -> None:
        """Something worked: the next pause is short again."""
        self._next_s = FIRST_PAUSE_S


class Tries:
    """The tries of one request.

    Args:
        tries: how often, at least once.
        repeatable: whether the request may have been done already when it is sent again. Where not, it is only sent
            again when nothing was done for sure.
    """

    def __init__(self, tries: int, *, repeatable: bool) -> None:
        self._allowed = tries
        self._left = tries
        self._repeatable = repeatable
        self._backoff = Backoff()

    def after(self, outcome: httpx.Response | httpx.RequestError) -> float | None:
        """What follows from a try: None where it is the answer, else the seconds to wait before the next.

        Raises:
            GatewayAway: that was the last try, or the answer to a request that is not repeatable was lost.
            RequestRefused: the gateway's no; trying again would not help.
        """
        self._left -= 1
        asked_for_s = 0.0
        if isinstance(outcome, httpx.Response):
            if outcome.is_success:
                return None
            refusal = RequestRefused.of(outcome)
            if outcome.has_redirect_location:
                raise GatewayAway(
                    f"{refusal}: it leads to {outcome.headers['location']}; is the address right, and is there no "
                    "sign-in page in between?"
                )
            if _is_final(outcome):
                raise refusal
            fault = str(refusal)
            nothing_done = outcome.status_code in NOTHING_DONE
            asked_for_s = retry_after_s(outcome.headers)
        else:
            fault = _told(outcome)
            nothing_done = isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        if not (self._repeatable or nothing_done):
            raise GatewayAway(
                f"the answer was lost, so this may be done or not: look before asking again ({fault})",
                retry_after_s=asked_for_s,
            )
        if self._left == 0:
            raise GatewayAway(
                f"no answer in {self._allowed} tries; the last: {fault}"
                if self._allowed > 1
                else f"no answer: {fault}",
                retry_after_s=asked_for_s,
            )
        return self._backoff.pause(asked_for_s)


def _is_final(response: httpx.Response) -> bool:
    """Whether it is the gateway's own no; a proxy's trouble says nothing of the request."""
    status = response.status_code
    if status == IN_PROGRESS and "retry-after" in response.headers:
        return False
    return status == NOT_OFFERED or (400 <= status < 500 and status not in ASK_AGAIN)


def _told(error: httpx.RequestError) -> str:
    fault = f"{type(error).__name__}: {error}"
    if "CERTIFICATE_VERIFY_FAILED" in fault:
        fault += " (is this machine's clock right? A certificate is only valid between two dates)"
    return fault


def retry_after_s(headers: httpx.Headers) -> float:
    """Seconds that `Retry-After` (RFC 9110: seconds, or a date) asks for; 0 where it says nothing usable.

    A date is read by the answer's own `Date`: a field gateway's clock may be years off.
    """
    value = headers.get("retry-after", "")
    if value.isdecimal():
        return min(float(value), LONGEST_RETRY_AFTER_S)
    moment = _moment(value)
    if moment is None:
        return 0.0
    now = _moment(headers.get("date", "")) or datetime.now(UTC)
    return min(max(0.0, (moment - now).total_seconds()), LONGEST_RETRY_AFTER_S)


def _moment(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
