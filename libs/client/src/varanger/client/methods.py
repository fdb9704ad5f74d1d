"""A description of a call as a method of a client: the arguments are its own, the answer comes from the wire."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Generic, ParamSpec, TypeVar

from varanger.client.call import Call, Flow, Page
from varanger.client.running import AsyncTransport, SyncTransport

P = ParamSpec("P")
T = TypeVar("T")


class Method(Generic[P, T]):
    """A described call as a method of the waiting client."""

    def __init__(self, describe: Callable[P, Call[T]] | Callable[P, Flow[T]]) -> None:
        self._describe: Callable[P, Call[T] | Flow[T]] = describe
        self.__doc__ = describe.__doc__

    def __get__(self, client: SyncTransport, _owner: type) -> Callable[P, T]:
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.run(self._describe(*args, **kwargs))

        _name(method, self._describe)
        return method


class Pages(Generic[P, T]):
    """A described list in pages as a method that gives one after the other; a page is asked for when it is needed."""

    def __init__(self, describe: Callable[P, Call[Page[T]]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    def __get__(self, client: SyncTransport, _owner: type) -> Callable[P, Iterator[T]]:
        def method(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            call = self._describe(*args, **kwargs)
            while True:
                page = client.run(call)
                yield from page.items
                if page.next is None:
                    return
                call = call.after(page.next)

        _name(method, self._describe)
        return method


class AsyncMethod(Generic[P, T]):
    """A described call as a coroutine method."""

    def __init__(self, describe: Callable[P, Call[T]] | Callable[P, Flow[T]]) -> None:
        self._describe: Callable[P, Call[T] | Flow[T]] = describe
        self.__doc__ = describe.__doc__

    def __get__(self, client: AsyncTransport, _owner: type) -> Callable[P, Coroutine[Any, Any, T]]:
        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return await client.run(self._describe(*args, **kwargs))

        _name(method, self._describe)
        return method


class AsyncPages(Generic[P, T]):
    """A described list in pages as an asynchronous iterator."""

    def __init__(self, describe: Callable[P, Call[Page[T]]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    def __get__(self, client: AsyncTransport, _owner: type) -> Callable[P, AsyncIterator[T]]:
        async def method(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            call = self._describe(*args, **kwargs)
            while True:
                page = await client.run(call)
                for item in page.items:
                    yield item
                if page.next is None:
                    return
                call = call.after(page.next)

        _name(method, self._describe)
        return method


def _name(method: Any, describe: Any) -> None:
    method.__name__, method.__doc__ = describe.__name__, describe.__doc__
