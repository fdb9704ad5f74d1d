"""What single tag values mean, however a camera or a reader wrote them. Whatever cannot be read is None."""

import math
import re
from decimal import Decimal

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_OFFSET = re.compile(r"([+-])(\d{1,2}?):?(\d{2})?(?!\d)")
_LARGEST_OFFSET_MIN = 14 * 60
"""Kiribati keeps UTC+14; no zone is further from UTC on either side."""


def text(value: object) -> str | None:
    """A tag's text without padding and control characters; None where nothing is left."""
    return None if value is None or isinstance(value, bytes | list | dict) else printable(str(value)) or None


def printable(letters: str) -> str:
    """`letters` without what cannot be shown: PostgreSQL stores no NUL in JSON, and cameras pad with them."""
    return "".join(letter for letter in letters if letter.isprintable()).strip()


def number(value: object) -> float | None:
    """A finite number, from a number or from text that begins with one: the first of several values, `"100 100"`.

    ExifTool writes a rational with a zero below as `undef` or `inf`; that is no number.
    """
    if isinstance(value, list):  # so are several values given by Pillow, and of XMP by ExifTool
        value = value[0] if value else None
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        match = _NUMBER.match(value.strip())
        value = match.group() if match else None
    if not isinstance(value, str | int | float | Decimal):
        return None
    try:
        found = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return found if math.isfinite(found) else None


def positive(value: object) -> float | None:
    """A number that is not below zero."""
    found = number(value)
    return found if found is not None and found >= 0 else None


def whole(value: object) -> int | None:
    """A number without a fraction, which a database's integer can hold."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() and abs(found) < 2**31 else None


def pair(value: object) -> tuple[int | None, int | None]:
    """n and m of `"n m"`, `"n of m"` or `"n/m"`; both None where there are not two."""
    parts = re.findall(r"\d+", value) if isinstance(value, str) else []
    if len(parts) != 2:
        return None, None
    first, second = whole(parts[0]), whole(parts[1])
    return (None, None) if first is None or second is None else (first, second)


def switch(value: object) -> bool | None:
    """Whether something was on, said with 0 or 1."""
    found = whole(value)
    return bool(found) if found in (0, 1) else None


def utc_offset(value: object) -> str | None:
    """`+HH:MM` of `"+02:00"`, `"+0200"`, `"Z"`, or of a number of hours as EXIF's TimeZoneOffset has it (`-6`).

    ExifTool leaves `-1000`, which is ten hours, without quotes.
    """
    if isinstance(value, str):
        if value.strip().upper() == "Z":
            return "+00:00"
        if found := _OFFSET.match(value.strip()):
            sign, hours, minutes = found.groups()
            return _offset_of((int(hours) * 60 + int(minutes or 0)) * (-1 if sign == "-" else 1))
    if isinstance(value, int) and abs(value) >= 100:
        return utc_offset(f"{value:+}")
    hours_away = number(value)
    return None if hours_away is None else _offset_of(hours_away * 60)


def _offset_of(minutes: float) -> str | None:
    if abs(minutes) > _LARGEST_OFFSET_MIN or minutes != int(minutes):
        return None
    hours, rest = divmod(abs(int(minutes)), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"
