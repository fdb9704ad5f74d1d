"""Where a camera's own GPS says it stood.

Reported as the file has it, also 0, 0, which many cameras without a receiver write: it is what the file says. What is
no place on Earth (a Moultrie writes 753.8°) and what the file itself calls void is left out, both coordinates together.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from varanger.ingest.domain.tag_values import number

Position = tuple[float, float] | tuple[None, None]
_NOWHERE = (None, None)


def position(tags: Mapping[str, Any]) -> Position:
    """Latitude and longitude in decimal degrees, north and east positive; both or neither."""
    if str(tags.get("GPS:GPSStatus", "")).strip().upper() == "V":
        return _NOWHERE
    for found in (_of_exif(tags), _of_text(tags), _of_numbers(tags)):
        if found != _NOWHERE:
            return found
    return _NOWHERE


def _of_exif(tags: Mapping[str, Any]) -> Position:
    """EXIF writes both without a sign and says the hemisphere beside it; where it does not, as they stand."""
    latitude, longitude = number(tags.get("GPS:GPSLatitude")), number(tags.get("GPS:GPSLongitude"))
    return _on_earth(
        _signed(latitude, tags.get("GPS:GPSLatitudeRef"), "S"),
        _signed(longitude, tags.get("GPS:GPSLongitudeRef"), "W"),
    )


def _of_text(tags: Mapping[str, Any]) -> Position:
    """QuickTime: `"57.1 15.5 12"` under a name that depends on who wrote it."""
    for group in ("Keys", "UserData", "ItemList"):
        parts = re.split(r"[\s,]+", str(tags.get(f"{group}:GPSCoordinates", "")).strip())
        if len(parts) >= 2:
            return _on_earth(number(parts[0]), number(parts[1]))
    return _NOWHERE


def _of_numbers(tags: Mapping[str, Any]) -> Position:
    """XMP, which is signed."""
    return _on_earth(number(tags.get("XMP-exif:GPSLatitude")), number(tags.get("XMP-exif:GPSLongitude")))


def _signed(degrees: float | None, hemisphere: object, negative: str) -> float | None:
    turned = str(hemisphere or "").strip().upper().startswith(negative)
    return -abs(degrees) if degrees and turned else degrees


def _on_earth(latitude: float | None, longitude: float | None) -> Position:
    if latitude is None or longitude is None or not (math.fabs(latitude) <= 90 and math.fabs(longitude) <= 180):
        return _NOWHERE
    return latitude, longitude
