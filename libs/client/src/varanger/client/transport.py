"""One request, tried again with growing, jittered pauses while the gateway is away or busy."""

import random
import time
from collections.abc import Callable

import httpx

from varanger.client.errors import GatewayAway, RequestRefused

BUSY = frozenset({429, 502, 503, 504})
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0

Send = Callable[[], httpx.Response]


def send_until_answered(send: Send, *, tries: int, sleep: Callable[[float], None] = time.sleep) -> httpx.Response:
    """Call `send` until it answers with anything but "away" or "busy".

    Raises:
        GatewayAway: `tries` tries were not enough.
        RequestRefused: 4xx; trying again would not help.
    """
    pause = FIRST_PAUSE_S
    for left in reversed(range(tries)):
        wait = pause * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, so that many gateways do not come back at once
        try:
            response = send()
        except httpx.TransportError as error:
            fault = f"{type(error).__name__}: {error}"
        else:
            if response.status_code not in BUSY:
                if response.is_error:
                    raise RequestRefused.of(response)
                return response
            fault = str(RequestRefused.of(response))
            wait = max(wait, _retry_after(response))
        if left:
            sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_S)
    raise GatewayAway(f"no answer in {tries} tries; the last: {fault}")


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else 0.0
