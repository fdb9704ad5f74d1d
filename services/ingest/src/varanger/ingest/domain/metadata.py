"""From a file's raw tags to what it says of itself. Absent means the file does not say; nothing is guessed.

Raw tags are named as ExifTool's family 1 does, with numeric values: `IFD0:Make`, `ExifIFD:DateTimeOriginal`,
`Reconyx:TriggerMode`.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from varanger.common.messages import MediaMetadata
from varanger.common.words import CaptureMethod

RawTags = Mapping[str, Any]

_SERIAL_NUMBER = ("Reconyx:SerialNumber", "ExifIFD:SerialNumber", "IFD0:CameraSerialNumber")
_TRIGGERS = {
    "T": CaptureMethod.TIME_LAPSE,
    "M": CaptureMethod.ACTIVITY_DETECTION,
    "E": CaptureMethod.ACTIVITY_DETECTION,
}
"""Reconyx `TriggerMode`: time lapse, motion, external sensor. `C` (code entered) and `P` (by hand) are neither."""

_DATE = re.compile(r"\s*(\d{4})[:/.-](\d{1,2})[:/.-](\d{1,2})[ T]+(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?(?!\d)")
_YEARS = range(1900, 2200)

_LEFT_OUT_GROUPS = frozenset({"SourceFile", "System", "File", "ExifTool", "Composite", "ICC-header", "ICC_Profile"})
_LONGEST_VALUE = 500
_MOST_TAGS = 300


def read_metadata(tags: RawTags, reader: str) -> MediaMetadata:
    """What the file says, in Camtrap DP words.

    Args:
        tags: raw tags, see above; may be empty.
        reader: which reader answered, and what it cannot read.
    """
    return MediaMetadata(
        captured_at=_captured_at(tags),
        make=_text(tags.get("IFD0:Make")),
        model=_text(tags.get("IFD0:Model")),
        serial_number=next((text for tag in _SERIAL_NUMBER if (text := _text(tags.get(tag)))), None),
        capture_method=_TRIGGERS.get((_text(tags.get("Reconyx:TriggerMode")) or "").upper()),
        exif_data=_exif_data(tags),
        reader=reader,
    )


def orientation(tags: RawTags) -> int:
    """EXIF orientation, 1 to 8; 1 (as stored) where the file says nothing sensible."""
    value = tags.get("IFD0:Orientation")
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def parse_exif_date(value: object) -> datetime | None:
    """A date as cameras write it, to the second and naive; None for what is none, as `0000:00:00 00:00:00`.

    A zone behind it is dropped: `captured_at` is the camera's own time.
    """
    found = _DATE.match(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    if year not in _YEARS:
        return None
    try:
        return datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None


def _captured_at(tags: RawTags) -> datetime | None:
    """DateTimeOriginal, else DateTimeDigitized, else the maker note's date, else DateTime (the last change).

    ExifTool 12.57 reads day and month of the HyperFire 2's own date the wrong way round, and only that maker note has
    a `FileNumber`; such a date is not used.
    """
    dates = [tags.get("ExifIFD:DateTimeOriginal"), tags.get("ExifIFD:CreateDate")]
    if "Reconyx:FileNumber" not in tags:
        dates.append(tags.get("Reconyx:DateTimeOriginal"))
    dates.append(tags.get("IFD0:ModifyDate"))
    return next((date for value in dates if (date := parse_exif_date(value))), None)


def _text(value: object) -> str | None:
    """A tag's text without padding and control characters; None where nothing is left."""
    return _printable(str(value)) or None if value is not None else None


def _printable(text: str) -> str:
    # PostgreSQL stores no NUL in JSON, and cameras pad with them.
    return "".join(letter for letter in text if letter.isprintable()).strip()


def _exif_data(tags: RawTags) -> dict[str, Any]:
    """The tags worth keeping, as JSON can hold them: no pictures, no file system, no endless values."""
    kept: dict[str, Any] = {}
    for tag, value in tags.items():
        if tag.partition(":")[0] in _LEFT_OUT_GROUPS:
            continue
        plain = _plain(value)
        if plain is not None:
            kept[_printable(tag)] = plain
        if len(kept) == _MOST_TAGS:
            break
    return kept


def _plain(value: object) -> str | int | float | bool | None:
    if isinstance(value, bool | int):
        return value if abs(value) < 2**63 else str(value)
    if isinstance(value, float | Decimal):
        number = float(value)
        return number if math.isfinite(number) else str(value)
    if isinstance(value, bytes) or value is None:
        return None
    text = _printable(str(value))
    return None if "(Binary data" in text or len(text) > _LONGEST_VALUE else text
