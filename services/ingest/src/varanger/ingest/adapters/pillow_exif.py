"""The fallback metadata reader: Pillow, in process. It reads EXIF with its GPS, a JPEG's comment, and Reconyx notes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin
from PIL import __version__ as pillow_version

from varanger.ingest.adapters.reconyx_notes import note_in
from varanger.ingest.domain.file_types import IMAGE_TYPES
from varanger.ingest.domain.metadata import RawTags
from varanger.ingest.ports import MetadataUnread

_EXIFTOOL_NAMES = {
    int(ExifTags.Base.DateTime): "ModifyDate",
    int(ExifTags.Base.DateTimeDigitized): "CreateDate",
    int(ExifTags.Base.SubsecTime): "SubSecTime",
    int(ExifTags.Base.SubsecTimeOriginal): "SubSecTimeOriginal",
    int(ExifTags.Base.SubsecTimeDigitized): "SubSecTimeDigitized",
    int(ExifTags.Base.ISOSpeedRatings): "ISO",
    int(ExifTags.Base.BodySerialNumber): "SerialNumber",
    0x9400: "AmbientTemperature",
}
"""Where ExifTool's word for a tag is another than the standard's."""

_LEFT_OUT = frozenset(map(int, (ExifTags.Base.MakerNote, ExifTags.Base.ExifOffset, ExifTags.Base.GPSInfo)))
_FORMATS = tuple(file_type.name for file_type in IMAGE_TYPES)


class PillowExifReader:
    """A `MetadataReader` that needs nothing installed."""

    name = f"pillow {pillow_version} (no XMP, no videos, no maker notes but Reconyx's: install exiftool)"

    def read(self, path: Path) -> RawTags:
        """As the port says."""
        try:
            with Image.open(path, formats=_FORMATS) as image:
                for packet in ("xmp", "XML:com.adobe.xmp"):  # Pillow takes an orientation from there, and nothing else
                    image.info.pop(packet, None)
                exif = image.getexif()
                return {
                    **_group("IFD0", dict(exif), ExifTags.TAGS),
                    **_group("ExifIFD", dict(exif.get_ifd(ExifTags.IFD.Exif)), ExifTags.TAGS),
                    **_gps(dict(exif.get_ifd(ExifTags.IFD.GPSInfo))),
                    **note_in(exif),
                    **_comment(image),
                }
        except Exception as error:  # Pillow's EXIF parser raises whatever the bytes lead it to.
            raise MetadataUnread(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Nothing to let go."""


def _group(group: str, values: dict[int, Any], names: dict[int, str]) -> dict[str, Any]:
    return {
        f"{group}:{_EXIFTOOL_NAMES.get(tag) or names.get(tag, f'Tag0x{tag:04x}')}": _plain(value)
        for tag, value in values.items()
        if tag not in _LEFT_OUT
    }


def _gps(values: dict[int, Any]) -> dict[str, Any]:
    """Coordinates in degrees without a sign, as ExifTool gives them; their hemispheres stand beside them."""
    tags = _group("GPS", values, ExifTags.GPSTAGS)
    for name in ("GPS:GPSLatitude", "GPS:GPSLongitude"):
        if name in tags:
            tags[name] = _degrees(tags[name])
    return tags


def _degrees(parts: object) -> float | None:
    """Degrees, minutes, seconds; the last two may be missing."""
    if (
        not isinstance(parts, list)
        or not 1 <= len(parts) <= 3
        or not all(isinstance(one, int | float) for one in parts)
    ):
        return None
    return float(sum(part / 60**power for power, part in enumerate(parts)))


def _comment(image: Image.Image) -> dict[str, Any]:
    comment = image.info.get("comment")
    return {"File:Comment": comment.decode("latin-1")} if isinstance(comment, bytes) else {}


def _plain(value: object) -> object:
    """Rationals as floats (nan where they divide by zero), texts up to a NUL, several values as a list."""
    if isinstance(value, str):
        return value.partition("\0")[0]
    if isinstance(value, TiffImagePlugin.IFDRational):
        return float(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(one) for one in value]
    return value
