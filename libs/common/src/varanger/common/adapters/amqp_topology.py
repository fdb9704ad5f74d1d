"""`topology.py` in RabbitMQ's terms: durable quorum queues that hand on at least once. Right on 3.10 and 4.x."""

from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel
from pamqp.common import FieldValue

from varanger.common.topology import (
    DEAD_EXCHANGE,
    DEAD_LETTERS,
    DEAD_LETTERS_DELIVERY_LIMIT,
    DELIVERY_LIMIT,
    EXCHANGE,
    QUEUES,
    retry_queue,
)

_Arguments = dict[str, FieldValue]

_QUORUM: Final[_Arguments] = {"x-queue-type": "quorum"}
_AT_LEAST_ONCE: Final[_Arguments] = {
    # https://www.rabbitmq.com/docs/quorum-queues#activating-at-least-once-dead-lettering: it needs reject-publish
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


async def declare(channel: AbstractChannel, retry_delays_s: tuple[float, ...]) -> None:
    """Declare every exchange, queue and binding. What exists already stays as it is.

    Raises:
        aio_pika.exceptions.ChannelPreconditionFailed: a queue of that name exists with other arguments.
    """
    await channel.declare_exchange(DEAD_EXCHANGE, aio_pika.ExchangeType.FANOUT, durable=True)
    dead_letters = await channel.declare_queue(
        DEAD_LETTERS, durable=True, arguments={**_QUORUM, "x-delivery-limit": DEAD_LETTERS_DELIVERY_LIMIT}
    )
    await dead_letters.bind(DEAD_EXCHANGE)
    await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    for queue in QUEUES:
        declared = await channel.declare_queue(
            queue.name,
            durable=True,
            arguments={
                **_QUORUM,
                **_AT_LEAST_ONCE,
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD_EXCHANGE,
            },
        )
        for routing_key in queue.binds:
            await declared.bind(EXCHANGE, routing_key)
    for delay_s in retry_delays_s:
        await _declare_retry(channel, delay_s)


async def _declare_retry(channel: AbstractChannel, delay_s: float) -> None:
    """A queue that nobody consumes. Its messages expire into the default exchange under the routing key they came with.

    They come through a fanout exchange of their own, so that this key is free to name the queue they go home to.
    """
    name = retry_queue(delay_s)
    await channel.declare_exchange(name, aio_pika.ExchangeType.FANOUT, durable=True)
    queue = await channel.declare_queue(
        name,
        durable=True,
        arguments={
            **_QUORUM,
            **_AT_LEAST_ONCE,
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-message-ttl": round(delay_s * 1000),
            "x-dead-letter-exchange": "",
        },
    )
    await queue.bind(name)
