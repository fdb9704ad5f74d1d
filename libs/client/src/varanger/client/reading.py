"""JSON to frozen dataclasses: unknown fields are passed over, for a newer gateway tells more than this client knows."""

import builtins
import dataclasses
import types
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
Convert = Callable[[Any], Any]


class Unreadable(Exception):
    """A field is missing, or of another type. Names it."""


def read(kind: type[T], value: Any) -> T:
    """An object of this dataclass.

    Raises:
        Unreadable: a field without a default is missing, or one is of another type.
    """
    wanted: Any = kind
    found: T = _converter(wanted)(value)
    return found


def to_json(value: Any) -> Any:
    """The way back, for what is sent: dataclasses and times as JSON has them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_json(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: to_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    return value


@cache
def _converter(hint: Any) -> Convert:
    known = PLAIN.get(hint)
    if known is not None:
        return known
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint)
    arguments = get_args(hint)
    match get_origin(hint):
        case types.UnionType:
            return _optional([each for each in arguments if each is not types.NoneType])
        case builtins.tuple:
            return _tuple(_converter(arguments[0]))
        case builtins.dict:
            return _dict(_converter(arguments[1]))
    raise TypeError(f"{hint!r}: no answer of the gateway is read as that")


def _of(value: Any, kinds: tuple[type, ...]) -> Any:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise Unreadable(f"it is {value!r:.80}, not {' or '.join(kind.__name__ for kind in kinds)}")
    return value


def _moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(_of(value, (str,)))
    except ValueError as error:
        raise Unreadable(f"it is {value!r}, no time") from error


PLAIN: dict[Any, Convert] = {
    Any: lambda value: value,
    str: lambda value: _of(value, (str,)),
    int: lambda value: _of(value, (int,)),
    bool: lambda value: _of(value, (bool,)),
    float: lambda value: float(_of(value, (float, int))),
    datetime: _moment,
}


def _tuple(one: Convert) -> Convert:
    return lambda value: tuple(one(each) for each in _of(value, (list,)))


def _dict(one: Convert) -> Convert:
    return lambda value: {name: one(each) for name, each in _of(value, (dict,)).items()}


def _optional(kinds: list[Any]) -> Convert:
    """`X | None`, or one of several dataclasses told apart by their `kind`; an unknown kind stays as it came."""
    if len(kinds) == 1:
        [one] = [_converter(kind) for kind in kinds]
        return lambda value: None if value is None else one(value)
    by_kind: dict[Any, Convert] = {kind.kind: _converter(kind) for kind in kinds if hasattr(kind, "kind")}

    def choose(value: Any) -> Any:
        known = by_kind.get(value.get("kind")) if isinstance(value, dict) else None
        return known(value) if known else value

    return choose


def _dataclass(kind: Any) -> Convert:
    hints = get_type_hints(kind)
    wanted = [(one.name, _converter(hints[one.name]), _may_be_missing(one)) for one in dataclasses.fields(kind)]

    def convert(value: Any) -> Any:
        found = _of(value, (dict,))
        values = {}
        for name, one, optional in wanted:
            if name not in found and optional:
                continue
            if name not in found:
                raise Unreadable(f"{kind.__name__} without `{name}`")
            try:
                values[name] = one(found[name])
            except Unreadable as error:
                raise Unreadable(f"`{name}` of {kind.__name__}: {error}") from error
        return kind(**values)

    return convert


def _may_be_missing(one: "dataclasses.Field[Any]") -> bool:
    return one.default is not dataclasses.MISSING or one.default_factory is not dataclasses.MISSING
