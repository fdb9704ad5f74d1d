"""Which tags are kept beside the modelled fields, and how: `exif_data`.

Kept is what the camera, or a program after it, wrote: every tag of EXIF, maker notes, GPS, IPTC, XMP, video containers,
and a JPEG's comment. Left out is what describes the file rather than the picture's taking (size, file system,
encoding), what ExifTool works out from other tags (`Composite`), colour profiles, and binary values: they stay in the
original.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from varanger.ingest.domain.tag_values import printable

_LEFT_OUT_GROUPS = frozenset({"SourceFile", "System", "File", "ExifTool", "Composite"})
_LEFT_OUT_BEGINNINGS = ("ICC-", "ICC_Profile")
_KEPT_ALL_THE_SAME = frozenset({"File:Comment"})
"""The RapidFire's trigger, event, date and temperature, and the Stealth Cam's settings."""
_LONGEST_VALUE = 1000
_MOST_TAGS = 500
_DEEPEST = 4


def exif_data(tags: Mapping[str, Any]) -> dict[str, Any]:
    """The tags worth keeping, as JSON can hold them. A longer text is cut and ends in `…`."""
    kept: dict[str, Any] = {}
    for tag, value in tags.items():
        if not _worth_keeping(tag):
            continue
        plain = _plain(value, _DEEPEST)
        if plain is not None:
            kept[printable(tag)] = plain
        if len(kept) == _MOST_TAGS:
            break
    return kept


def _worth_keeping(tag: str) -> bool:
    group = tag.partition(":")[0]
    return tag in _KEPT_ALL_THE_SAME or not (group in _LEFT_OUT_GROUPS or group.startswith(_LEFT_OUT_BEGINNINGS))


def _plain(value: object, depth: int) -> Any:
    """JSON's own types; None for bytes and for what ExifTool only describes, as `(Binary data 3050 bytes, …)`."""
    if isinstance(value, bool | int):
        return value if abs(value) < 2**63 else str(value)
    if isinstance(value, float | Decimal):
        as_float = float(value)
        return as_float if math.isfinite(as_float) else str(value)
    if isinstance(value, bytes) or value is None or depth == 0:
        return None
    if isinstance(value, list | tuple):
        return [plain for each in value[:_MOST_TAGS] if (plain := _plain(each, depth - 1)) is not None]
    letters = printable(str(value))
    if "(Binary data" in letters:
        return None
    return letters if len(letters) <= _LONGEST_VALUE else f"{letters[: _LONGEST_VALUE - 1]}…"
