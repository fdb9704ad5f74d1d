"""When a file says that it was taken: the camera's own time, what follows the second, and its offset from UTC."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from varanger.ingest.domain.tag_values import utc_offset

_DATE = re.compile(
    r"\s*(\d{4})[:/.-] ?(\d{1,2})[:/.-] ?(\d{1,2})[ T]+(\d{1,2}): ?(\d{1,2})(?:: ?(\d{1,2}))?(?!\d)"
    r"(\.\d+)?\s*([AaPp][Mm])?\s*(Z|[+-]\d{1,2}(?::?\d{2})?)?"
)
_YEARS = range(1900, 2200)


@dataclass(frozen=True)
class CaptureTime:
    """Absent means the file does not say."""

    at: datetime | None = None
    """The camera's own naive time, to the second."""
    sub_seconds: float | None = None
    utc_offset: str | None = None


@dataclass(frozen=True)
class _Source:
    """Where a date may stand, and what belongs to it."""

    date: str
    sub_seconds: str = ""
    offset: str = ""
    counts_from_its_epoch: bool = False
    """A clock that was never set shows as the container's own epoch, which is no date."""


_SOURCES = (
    _Source("ExifIFD:DateTimeOriginal", "ExifIFD:SubSecTimeOriginal", "ExifIFD:OffsetTimeOriginal"),
    _Source("ExifIFD:CreateDate", "ExifIFD:SubSecTimeDigitized", "ExifIFD:OffsetTimeDigitized"),
    _Source("IFD0:DateTimeOriginal", "IFD0:SubSecTimeOriginal", "IFD0:OffsetTimeOriginal"),
    _Source("IFD0:CreateDate", "IFD0:SubSecTimeDigitized", "IFD0:OffsetTimeDigitized"),
    _Source("Reconyx:DateTimeOriginal"),
    _Source("XMP-exif:DateTimeOriginal"),
    _Source("XMP-exif:DateTimeDigitized"),
    _Source("IFD0:ModifyDate", "ExifIFD:SubSecTime", "ExifIFD:OffsetTime"),
    _Source("RIFF:DateTimeOriginal"),
    _Source("Keys:CreationDate"),
    _Source("UserData:DateTimeOriginal"),
    _Source("ItemList:ContentCreateDate"),
    _Source("QuickTime:CreateDate", counts_from_its_epoch=True),
    _Source("Track1:MediaCreateDate", counts_from_its_epoch=True),
    _Source("Matroska:DateTimeOriginal"),
)
_ANY_OFFSET = (
    *("ExifIFD:OffsetTimeOriginal", "ExifIFD:OffsetTimeDigitized", "ExifIFD:OffsetTime"),
    *("ExifIFD:TimeZoneOffset", "IFD0:TimeZoneOffset"),
)


def capture_time(tags: Mapping[str, Any]) -> CaptureTime:
    """The first date there is: DateTimeOriginal, DateTimeDigitized, the maker note's, DateTime (the last change), then
    those of video containers.

    QuickTime's CreateDate is UTC by its standard (ISO/IEC 14496-12), but camera traps know no zones and write their
    own time there, while phones do write UTC. Nothing in the file tells the two apart, so it is taken as it stands,
    and no offset is given for it.
    """
    for source in _SOURCES:
        found = _DATE.match(value) if isinstance(value := tags.get(source.date), str) else None
        at = parse_exif_date(value)
        if found is None or at is None or (source.counts_from_its_epoch and _is_an_epoch(at)):
            continue
        fraction, offset = found.group(7), found.group(9)
        return CaptureTime(
            at,
            _share_of_a_second(fraction[1:] if fraction else tags.get(source.sub_seconds)),
            utc_offset(tags.get(source.offset)) or (utc_offset(offset) if offset else None) or _any_offset(tags),
        )
    return CaptureTime(utc_offset=_any_offset(tags))


def parse_exif_date(value: object) -> datetime | None:
    """A date as cameras write it, to the second and naive; None for what is none, as `0000:00:00 00:00:00`.

    A zone behind it is dropped: `captured_at` is the camera's own time.
    """
    found = _DATE.match(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    half = (found.group(8) or "").upper()
    if half and hour > 12:
        return None
    if half:
        hour = hour % 12 + (12 if half == "PM" else 0)
    if year not in _YEARS:
        return None
    try:
        return datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None


def _is_an_epoch(at: datetime) -> bool:
    """QuickTime counts from 1904; programs that mend it put Unix's 1970 there."""
    return at.year == 1904 or (at.year, at.month, at.day) == (1970, 1, 1)


def _share_of_a_second(digits: object) -> float | None:
    """0.38 of SubSecTime `"38"`: the digits behind the point, https://exiftool.org/TagNames/EXIF.html."""
    found = re.match(r"\s*(\d{1,9})", str(digits)) if isinstance(digits, str | int) else None
    return float(f"0.{found.group(1)}") if found else None


def _any_offset(tags: Mapping[str, Any]) -> str | None:
    return next((offset for tag in _ANY_OFFSET if (offset := utc_offset(tags.get(tag)))), None)
