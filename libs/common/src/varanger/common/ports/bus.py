"""`Bus`: messages between processes, delivered at least once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from varanger.common.messages import Envelope


class Delivery(Protocol):
    """One message handed to one consumer. Exactly one of its four endings must be called, once, last.

    A second ending raises RuntimeError. Where the connection it came by is gone, every ending does nothing: the message
    is the broker's again and comes anew.
    """

    @property
    def body(self) -> bytes:
        """The bytes as they were published."""

    @property
    def queue(self) -> str:
        """The queue it was taken from."""

    @property
    def headers(self) -> dict[str, str]:
        """What dead letters carry: `x-reason`, `x-queue`, `x-attempt`, `x-message-id`; else mostly empty."""

    @property
    def attempt(self) -> int:
        """Which try this is in this queue, from 1; survives the retry queues. Not the envelope's own `attempt`."""

    async def ack(self) -> None:
        """It is done; forget it. Does nothing where the connection it came by is gone (it will come again)."""

    async def requeue(self) -> None:
        """Give it back untouched, for another consumer (shutdown). Some brokers count it towards the delivery limit."""

    async def retry(self, delay_s: float) -> None:
        """Confirm a copy with attempt + 1 into the retry queue of `delay_s`, then ack the original.

        Raises:
            DependencyDown: the copy was not confirmed; the original is still held.
            ValueError: the bus was opened without a retry queue of this delay; the original is still held.
        """

    async def dead_letter(self, reason: str) -> None:
        """Confirm a copy with `x-reason` into the dead letters, then ack the original.

        A delivery from the dead letters themselves has nowhere further to go: it waits for the longest retry delay.

        Raises:
            DependencyDown: the copy was not confirmed; the original is still held.
        """


OnDelivery = Callable[[Delivery], Awaitable[None]]


class Subscription(Protocol):
    """A running consumer of one queue."""

    async def cancel(self) -> None:
        """No further delivery is handed out after this returns; held ones can still be ended."""


class Bus(Protocol):
    """Publishes with confirms, consumes with a bounded number in flight. Opened by `open_bus(url)`."""

    async def start(self) -> None:
        """Connect and declare the whole topology (`topology.py`), idempotently.

        Raises:
            DependencyDown: no broker answers.
        """

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Return only when every envelope is confirmed durable in every queue bound for it.

        All are sent without waiting for one another. When it raises, any of them may have been published.

        Raises:
            Unroutable: no queue is bound for one of them.
            DependencyDown: the broker is gone, refused, or did not confirm in time.
        """

    async def publish_raw(self, queue: str, body: bytes, headers: dict[str, str]) -> None:
        """Put a body, whatever it is, straight into one queue, confirmed (replay of a dead letter).

        Headers travel as given: leave `x-attempt` out to begin anew.

        Raises:
            Unroutable: there is no such queue.
            DependencyDown: as `publish`.
        """

    async def consume(self, queue: str, on_delivery: OnDelivery, *, prefetch: int) -> Subscription:
        """Hand out at most `prefetch` unended deliveries at a time, each in a task of its own; survives reconnects.

        A handler that raises without having ended its delivery is a fault of the program: it is logged and the message
        given back, counted; beyond the delivery limit it is a dead letter with reason `delivery_limit`.

        Raises:
            Unroutable: there is no such queue.
            DependencyDown: no broker answers now (later outages are outlived).
        """

    async def depth(self, queue: str) -> int:
        """Messages ready in the queue, about. Raises Unroutable where there is no such queue, or DependencyDown."""

    async def ping(self) -> None:
        """Raises DependencyDown where the broker does not answer."""

    async def close(self) -> None:
        """Stop everything, handlers included (they are cancelled); unended deliveries go back to their queues."""
