"""The two transports: they run what `calls` and `uploads` describe, one waiting, one in an event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from varanger.client.call import Call, Flow, Wait, Work
from varanger.client.patience import Tries

T = TypeVar("T")
THIS_MACHINE = ("all://127.0.0.1", "all://[::1]", "all://localhost")
"""No proxy stands in between here, whatever HTTP_PROXY says."""


def _settings(url: str, key: str, timeout_s: float, tries: int) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"url: {url!r} is no address of a gateway; write it as in http://127.0.0.1:8000")
    if tries < 1:
        raise ValueError(f"tries: {tries}; a request is tried at least once")
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {key.strip()}"},
        "timeout": timeout_s,
        "mounts": dict.fromkeys(THIS_MACHINE),
    }


def _first(call: Call[Any], tries: int) -> Tries:
    return Tries(1 if call.once else tries, repeatable=call.repeatable)


class SyncTransport:
    """Runs calls and flows, waiting for each.

    Args:
        url: of the gateway, as `http://127.0.0.1:8000`.
        key: as `varanger key create` showed it.
        timeout_s: without a byte moving, for one request; an upload of any length may take as long as it moves.
        tries: how often a request is tried while the gateway is away or busy.
        transport: for tests.
        sleep: for tests; waits between tries, in seconds.

    Raises:
        ValueError: `url` is no http(s) address, or `tries` is below 1.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = 60.0,
        tries: int = 8,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = httpx.Client(transport=transport, **_settings(url, key, timeout_s, tries))
        self._tries = tries
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let connections go."""
        self._http.close()

    def run(self, wanted: Call[T] | Flow[T]) -> T:
        """A call's or a flow's result. Raises GatewayAway and RequestRefused, and what a flow says of itself."""
        if isinstance(wanted, Call):
            return self._ask(wanted)
        try:
            step = next(wanted)
            while True:
                try:
                    result = self._do(step)
                except Exception as error:
                    step = wanted.throw(error)
                else:
                    step = wanted.send(result)
        except StopIteration as done:
            found: T = done.value
            return found
        finally:
            wanted.close()

    def _do(self, step: Call[Any] | Work[Any] | Wait) -> Any:
        if isinstance(step, Wait):
            return self._sleep(step.seconds)
        return self._ask(step) if isinstance(step, Call) else step.do()

    def _ask(self, call: Call[T]) -> T:
        tries = _first(call, self._tries)
        while True:
            outcome = self._try(call)
            pause_s = tries.after(outcome)
            if pause_s is None and isinstance(outcome, httpx.Response):
                return call.read(outcome)
            self._sleep(pause_s or 0.0)

    def _try(self, call: Call[Any]) -> httpx.Response | httpx.RequestError:
        with call.body() as body:
            request = self._http.build_request(call.method, call.path, params=call.params, headers=call.headers, **body)
            try:
                response = self._http.send(request, stream=True)
                try:
                    if call.into is not None and response.is_success:
                        with call.into.open("wb") as file:
                            for chunk in response.iter_bytes():
                                file.write(chunk)
                    else:
                        response.read()
                finally:
                    response.close()
            except httpx.RequestError as error:
                return error
            return response


class AsyncTransport:
    """Runs calls and flows in an event loop; reading and hashing of files happen in threads. Arguments as above."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = 60.0,
        tries: int = 8,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = httpx.AsyncClient(transport=transport, **_settings(url, key, timeout_s, tries))
        self._tries = tries
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let connections go."""
        await self._http.aclose()

    async def run(self, wanted: Call[T] | Flow[T]) -> T:
        """A call's or a flow's result. Raises GatewayAway and RequestRefused, and what a flow says of itself."""
        if isinstance(wanted, Call):
            return await self._ask(wanted)
        try:
            step = next(wanted)
            while True:
                try:
                    result = await self._do(step)
                except Exception as error:
                    step = wanted.throw(error)
                else:
                    step = wanted.send(result)
        except StopIteration as done:
            found: T = done.value
            return found
        finally:
            wanted.close()

    async def _do(self, step: Call[Any] | Work[Any] | Wait) -> Any:
        if isinstance(step, Wait):
            return await self._sleep(step.seconds)
        return await (self._ask(step) if isinstance(step, Call) else asyncio.to_thread(step.do))

    async def _ask(self, call: Call[T]) -> T:
        tries = _first(call, self._tries)
        while True:
            outcome = await self._try(call)
            pause_s = tries.after(outcome)
            if pause_s is None and isinstance(outcome, httpx.Response):
                return call.read(outcome)
            await self._sleep(pause_s or 0.0)

    async def _try(self, call: Call[Any]) -> httpx.Response | httpx.RequestError:
        async with _InThread(call.body()) as body:
            request = self._http.build_request(call.method, call.path, params=call.params, headers=call.headers, **body)
            try:
                response = await self._http.send(request, stream=True)
                try:
                    if call.into is not None and response.is_success:
                        await _write(call.into, response.aiter_bytes())
                    else:
                        await response.aread()
                finally:
                    await response.aclose()
            except httpx.RequestError as error:
                return error
            return response


class _InThread:
    """A body opened in a thread, its chunks read in threads."""

    def __init__(self, body: AbstractContextManager[Mapping[str, Any]]) -> None:
        self._body = body

    async def __aenter__(self) -> dict[str, Any]:
        opened = dict(await asyncio.to_thread(self._body.__enter__))
        return opened | {"content": _chunks(opened["content"])} if "content" in opened else opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._body.__exit__, kind, error, trace)


async def _chunks(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk


async def _write(path: Path, chunks: AsyncIterator[bytes]) -> None:
    with await asyncio.to_thread(path.open, "wb") as file:
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)
