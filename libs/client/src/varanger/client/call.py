"""A request and what its answer means, without sockets: what both clients send, and read, in the same way."""

import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote

import httpx

from varanger.client.errors import GatewayAway
from varanger.client.reading import Unreadable, read

T = TypeVar("T")
U = TypeVar("U")
Json = dict[str, Any]
"""A JSON object, as docs/schemas/openapi.json describes it."""

Body = Callable[[], AbstractContextManager[Mapping[str, Any]]]
"""httpx's arguments for a body (`json`, `files`, `content`), made anew for each try; what they read closes after it."""


def no_body() -> AbstractContextManager[Mapping[str, Any]]:
    """For requests without one."""
    return nullcontext({})


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = no_body
    repeatable: bool = True
    """Doing it twice is doing it once."""
    into: Path | None = None
    """The answer's bytes go into this file while they come."""
    once: bool = False
    """Tried once, for whoever sends it knows a better second step."""

    def after(self, cursor: Any) -> "Call[T]":
        """The same for the page that begins there."""
        return replace(self, params={**self.params, "cursor": cursor})

    def then(self, further: Callable[[T], U]) -> "Call[U]":
        """The same, its answer taken one step further."""
        read_first, same = self.read, cast(Any, self)
        found: Call[U] = replace(same, read=lambda response: further(read_first(response)))
        return found


@dataclass(frozen=True)
class Work(Generic[T]):
    """Something slow on this machine (reading, hashing) between two requests."""

    do: Callable[[], T]


@dataclass(frozen=True)
class Wait:
    """A pause."""

    seconds: float


Flow = Generator[Call[Any] | Work[Any] | Wait, Any, T]
"""Several steps to one result. Each step's result is sent in, what went wrong with it is thrown in."""


def ask(call: Call[T]) -> Flow[T]:
    """A call as a step, with its type: `answer = yield from ask(call)`."""
    answer: T = yield call
    return answer


def work(do: Callable[[], T]) -> Flow[T]:
    """Work as a step, with its type."""
    result: T = yield Work(do)
    return result


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of many."""

    items: tuple[T, ...]
    next: Any
    """Cursor of the page after; None on the last."""


def get(path: str, kind: type[T]) -> Call[T]:
    """Ask for one thing."""
    return Call("GET", path, answer(kind))


def get_list(path: str, kind: type[T], params: Mapping[str, Any] | None = None) -> Call[tuple[T, ...]]:
    """Ask for a list that comes whole."""
    return Call("GET", path, lambda response: tuple(_items(response, kind, read_json(response))), given(params or {}))


def get_page(path: str, kind: type[T], params: Mapping[str, Any]) -> Call[Page[T]]:
    """Ask for a list that comes in pages."""

    def read_page(response: httpx.Response) -> Page[T]:
        page = read_json(response)
        if not isinstance(page, dict) or "next" not in page:
            raise _other(response, "no page")
        return Page(tuple(_items(response, kind, page.get("items"))), page["next"])

    return Call("GET", path, read_page, given(params))


def send(method: str, path: str, body: Mapping[str, Any], kind: type[T]) -> Call[T]:
    """Send JSON. A POST carries an `Idempotency-Key`, so that a second try does nothing that the first has done."""
    headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
    return Call(method, path, answer(kind), {}, headers, lambda: nullcontext({"json": body}))


def answer(kind: type[T]) -> Callable[[httpx.Response], T]:
    """Reads an object of this kind."""

    def read_one(response: httpx.Response) -> T:
        [found] = _items(response, kind, [read_json(response)])
        return found

    return read_one


def _items(response: httpx.Response, kind: type[T], values: Any) -> Iterator[T]:
    if not isinstance(values, list):
        raise _other(response, "no list")
    for value in values:
        try:
            yield read(kind, value)
        except Unreadable as error:
            raise _other(response, str(error)) from error


def _other(response: httpx.Response, what: str) -> GatewayAway:
    return GatewayAway(f"{response.url} answers something else than a gateway of this client's time does: {what}")


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


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was left open."""
    return {name: value for name, value in params.items() if value is not None}


def url(*parts: str) -> str:
    """A path, in which no name can become two parts of it."""
    return "/" + "/".join(quote(part, safe="") for part in parts)
