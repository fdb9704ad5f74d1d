"""The queues, in one place. One topic exchange; every queue is bound by message type and lane.

Retry queues keep a message for their delay and then hand it back, by its routing key, to the queue it came from.
A queue's own dead letters, and what a consumer gives up on, end in `dead-letters`, which the recorder turns into rows.
"""

from dataclasses import dataclass

from varanger.common.messages import (
    ClassificationRequested,
    MediaClassified,
    MediaFailed,
    MediaQuarantined,
    MediaStored,
    MediaUnpacked,
    MediaUploaded,
    Message,
    QcRoundRequested,
    ReleasePromoted,
    ReleaseRegistered,
    ReviewRecorded,
    TrainingRequested,
)
from varanger.common.words import Lane

EXCHANGE = "varanger"
DEAD_EXCHANGE = "varanger.dead"
DEAD_LETTERS = "dead-letters"
DELIVERY_LIMIT = 20
"""Redeliveries after a consumer died holding it. Always a positive number: -1 is 0 on RabbitMQ 3.x, and 4.x has a
default of its own (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling)."""
DEAD_LETTERS_DELIVERY_LIMIT = 1_000_000
"""The last stop has nowhere to hand on to: high enough that a crashing recorder never drops one."""


@dataclass(frozen=True)
class Queue:
    """One durable quorum queue and the routing keys bound to it."""

    name: str
    binds: tuple[str, ...]


def _both_lanes(name: str, *messages: type[Message]) -> tuple[Queue, Queue]:
    live, bulk = (Queue(f"{name}.{lane}", tuple(f"{message.TYPE}.{lane}" for message in messages)) for lane in Lane)
    return live, bulk


def _one_queue(name: str, *messages: type[Message]) -> Queue:
    return Queue(name, tuple(f"{message.TYPE}.{lane}" for message in messages for lane in Lane))


INGEST = _both_lanes("ingest", MediaUploaded)
RECORDER = _both_lanes("recorder", MediaStored, MediaQuarantined, MediaUnpacked, MediaClassified, MediaFailed)
RELEASES = _one_queue("releases", ReleaseRegistered)
INFERENCE = _both_lanes("inference", ClassificationRequested)
QC = _one_queue("qc", QcRoundRequested, ReviewRecorded)
TRAINER = _one_queue("trainer", TrainingRequested)
PROMOTIONS = _one_queue("promotions", ReleasePromoted)
"""Taken by the recorder: media that waited for a release are asked for."""

QUEUES: tuple[Queue, ...] = (*INGEST, *RECORDER, RELEASES, *INFERENCE, QC, TRAINER, PROMOTIONS)


def retry_queue(delay_s: float) -> str:
    """The name of the queue that keeps a message for `delay_s` seconds."""
    return f"retry.{delay_s:g}s"
