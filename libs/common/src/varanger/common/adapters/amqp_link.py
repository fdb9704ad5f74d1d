"""One connection to the broker, opened when it is first needed and again after it was lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from varanger.common.adapters.amqp_topology import declare
from varanger.common.errors import DependencyDown

_log = structlog.get_logger("varanger.bus")

CONNECT_TIMEOUT_S = 5.0
_HEARTBEAT_S = 15
CLOSE_TIMEOUT_S = 5.0
_DECLARE_TIMEOUT_S = 60.0
"""A broker that elects a leader for each of two dozen new queues takes a while."""

BROKER_FAULTS = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError)
"""What aio-pika raises where the broker is gone, refuses or is silent."""


@asynccontextmanager
async def broker_faults(doing: str) -> AsyncIterator[None]:
    """Turn whatever aio-pika raises for a broker that is gone or refuses into DependencyDown."""
    try:
        yield
    except BROKER_FAULTS as error:
        raise DependencyDown(f"broker, {doing}: {type(error).__name__}: {error}") from error
    except asyncio.CancelledError as error:
        # aio-pika ends what waits on a closing connection with CancelledError too. Only ours may pass as one.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise DependencyDown(f"broker, {doing}: the connection was closed") from error


class Link:
    """A connection that declares the topology each time it is made (a broker may come back empty)."""

    def __init__(self, url: str, name: str, retry_delays_s: tuple[float, ...]) -> None:
        self._url = url
        self._name = name
        self._retry_delays_s = retry_delays_s
        self._connection: AbstractConnection | None = None
        self._lock = asyncio.Lock()

    async def channel(self) -> AbstractChannel:
        """A new channel with publisher confirms and returns raised, on the connection there is or a new one.

        Raises:
            DependencyDown: no broker answers, or it refuses.
        """
        async with broker_faults(f"opening a channel to {self._name}"):
            connection = await self._connected()
            try:
                channel = connection.channel(publisher_confirms=True, on_return_raises=True)
                # Not initialize(timeout=…): aio-pika 10.2 takes that argument and does not use it.
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await channel.initialize()
            except RuntimeError as error:
                # "connection was not opened", "closed": it was lost between the two lines above.
                raise ConnectionResetError(str(error)) from error
            return channel

    async def close(self) -> None:
        """Close the connection. A later `channel()` opens a new one."""
        async with self._lock:
            await self._drop()

    async def _connected(self) -> AbstractConnection:
        async with self._lock:
            if self._connection is None or not self._connection.connected.is_set():
                await self._drop()
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> AbstractConnection:
        url = self._url if "heartbeat=" in self._url else _with_query(self._url, f"heartbeat={_HEARTBEAT_S}")
        connection = await aio_pika.connect(
            url, timeout=CONNECT_TIMEOUT_S, client_properties={"connection_name": f"varanger {self._name}"}
        )
        try:
            async with asyncio.timeout(_DECLARE_TIMEOUT_S), connection.channel() as channel:
                await declare(channel, self._retry_delays_s)
        except BaseException:
            await connection.close()
            raise
        _log.info("bus.connected", link=self._name)
        return connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with broker_faults(f"closing {self._name}"), asyncio.timeout(CLOSE_TIMEOUT_S):
                await connection.close()
        except DependencyDown as error:
            _log.info("bus.closing_failed", link=self._name, error=str(error))


def _with_query(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"
