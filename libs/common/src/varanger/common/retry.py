"""The retry policy (docs/dataflow.md): what happens to a delivery after its handler raised. Nothing else decides that.

| what was raised | what happens | counted as an attempt |
|---|---|---|
| `BadMessage` | dead letter with its reason, at once | – |
| `DependencyDown` | the consumer pauses and tries the same delivery again, ever more slowly | no |
| anything else | a copy with attempt + 1 waits in a retry queue (5, 30, 300 s), runs alone; then dead letter | yes |

A consumer that dies holding a delivery is the broker's to count: `topology.DELIVERY_LIMIT`. Work that no delivery holds
any more is the reconciler's.
"""

from dataclasses import dataclass

from varanger.common.errors import BadMessage, DependencyDown

RETRY_DELAYS_S: tuple[float, ...] = (5.0, 30.0, 300.0)
PAUSE_FIRST_S = 0.5
PAUSE_LONGEST_S = 30.0


@dataclass(frozen=True)
class RetryLater:
    """Confirm a copy with the next attempt number to the retry queue of this delay, then ack."""

    delay_s: float


@dataclass(frozen=True)
class DeadLetter:
    """Hand it to the dead letters with this reason."""

    reason: str


@dataclass(frozen=True)
class Pause:
    """Keep the delivery unacknowledged, take nothing new, try again after this many seconds."""

    seconds: float


Decision = RetryLater | DeadLetter | Pause


def describe(error: BaseException) -> str:
    """`<type>: <text>`, the reason that stands in the dead letter."""
    return f"{type(error).__name__}: {error}"[:2000]


def decide(
    error: BaseException, *, attempt: int, pauses: int, delays_s: tuple[float, ...] = RETRY_DELAYS_S
) -> Decision:
    """What to do after `error`, on the `attempt`-th try (from 1), after `pauses` pauses for it in a row (from 0)."""
    if isinstance(error, BadMessage):
        return DeadLetter(describe(error))
    if isinstance(error, DependencyDown):
        return Pause(min(PAUSE_FIRST_S * 2**pauses, PAUSE_LONGEST_S))
    if attempt <= len(delays_s):
        return RetryLater(delays_s[attempt - 1])
    return DeadLetter(f"gave up after {attempt} attempts: {describe(error)}")
