"""The headers that both buses write, so that a dead letter reads the same whichever one carried it.

A delivery's attempt lives in `x-attempt`. In the dead letters that name tells how far the message had come where it
failed, so their own tries are counted in `x-dead-attempt`.
"""

from collections.abc import Mapping

from varanger.common.messages import Envelope
from varanger.common.topology import DEAD_LETTERS

REASON = "x-reason"
QUEUE = "x-queue"
ATTEMPT = "x-attempt"
MESSAGE_ID = "x-message-id"
DEAD_ATTEMPT = "x-dead-attempt"
TRACEPARENT = "traceparent"
"""https://w3c.github.io/trace-context-amqp/"""

BROKER_REASON = "delivery_limit"
"""The reason a broker itself gives for a message that was handed out too often and never ended."""

_LONGEST_REASON = 4000
"""Characters: all headers of a message must fit into one AMQP frame."""


def of_envelope(envelope: Envelope) -> dict[str, str]:
    """The headers of a first sending: the trace, where tools that know no envelope look for it."""
    return {TRACEPARENT: envelope.traceparent} if envelope.traceparent else {}


def _attempt_header(queue: str) -> str:
    return DEAD_ATTEMPT if queue == DEAD_LETTERS else ATTEMPT


def read_attempt(headers: Mapping[str, str], queue: str) -> int:
    """Which try a delivery from `queue` with these headers is, from 1. What is no number counts as the first."""
    text = headers.get(_attempt_header(queue), "1")
    return max(1, int(text)) if text.isdecimal() else 1


def for_retry(headers: Mapping[str, str], queue: str, attempt: int) -> dict[str, str]:
    """The headers of the copy that is tried again after `attempt` failed."""
    return {**headers, _attempt_header(queue): str(attempt + 1)}


def for_dead_letter(
    headers: Mapping[str, str], *, reason: str, queue: str, attempt: int, message_id: str
) -> dict[str, str]:
    """The headers of a dead letter: why, from where, on which try, which message."""
    own = {REASON: reason[:_LONGEST_REASON], QUEUE: queue, ATTEMPT: str(attempt), MESSAGE_ID: message_id}
    return {**headers, **own}
