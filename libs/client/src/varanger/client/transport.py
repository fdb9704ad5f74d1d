"""One request, tried again with growing, jittered pauses while the gateway is away or busy."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from varanger.client.errors import GatewayAway, RequestRefused

ASK_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
NOTHING_DONE = frozenset({429, 503})
"""The gateway says with these that it recorded nothing (docs/schemas/openapi.json)."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
LONGEST_RETRY_AFTER_S = 600.0

Send = Callable[[], httpx.Response]
Sleep = Callable[[float], None]


def send_until_answered(
    send: Send, *, tries: int, repeatable: bool = True, sleep: Sleep = time.sleep
) -> httpx.Response:
    """Call `send` until it answers with anything but "away" or "busy".

    Args:
        send: makes the request; each call makes it anew.
        tries: how often, at least once.
        repeatable: whether the request may have been done already when it is sent again. Where not, it is only sent
            again when nothing was done for sure.
        sleep: waits, in seconds. At least for the answer's `Retry-After`, with a random part on top, so that many
            field gateways do not come back at once.

    Raises:
        GatewayAway: `tries` tries were not enough, or the answer to a request that is not repeatable was lost.
        RequestRefused: the gateway's no; trying again would not help.
    """
    pause = FIRST_PAUSE_S
    for left in reversed(range(tries)):
        asked_for = 0.0
        try:
            response = send()
        except httpx.RequestError as error:
            fault = f"{type(error).__name__}: {error}"
            nothing_done = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        else:
            if response.is_success:
                return response
            refusal = RequestRefused.of(response)
            if response.status_code not in ASK_AGAIN:
                raise refusal
            fault = str(refusal)
            nothing_done = response.status_code in NOTHING_DONE
            asked_for = retry_after_s(response.headers.get("retry-after", ""))
        if not (repeatable or nothing_done):
            raise GatewayAway(f"the answer was lost, so this may be done or not: look before asking again ({fault})")
        if left:
            sleep(asked_for + pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            pause = min(pause * 2, LONGEST_PAUSE_S)
    raise GatewayAway(f"no answer in {tries} tries; the last: {fault}")


def retry_after_s(value: str) -> float:
    """Seconds that a `Retry-After` header (RFC 9110: seconds, or a date) asks for; 0 where it says nothing usable."""
    if value.isdecimal():
        return min(float(value), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (aware - datetime.now(UTC)).total_seconds()), LONGEST_RETRY_AFTER_S)


def read_json(response: httpx.Response) -> Any:
    """The answer's JSON.

    Raises:
        GatewayAway: it is something else. A network's sign-in page answers 200 to everything.
    """
    try:
        return response.json()
    except ValueError as error:
        kind = response.headers.get("content-type", "nothing")
        raise GatewayAway(
            f"{response.url} answers {kind} where a gateway answers JSON; is the address right, and is there no "
            "sign-in page in between?"
        ) from error
