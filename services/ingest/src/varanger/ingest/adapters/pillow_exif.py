"""The fallback metadata reader: Pillow, in process. It reads EXIF, and no camera's maker notes."""

from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin
from PIL import __version__ as pillow_version

from varanger.ingest.domain.file_types import IMAGE_TYPES
from varanger.ingest.domain.metadata import RawTags
from varanger.ingest.ports import MetadataUnread

_EXIFTOOL_NAMES = {
    int(ExifTags.Base.DateTime): "ModifyDate",
    int(ExifTags.Base.DateTimeDigitized): "CreateDate",
    int(ExifTags.Base.BodySerialNumber): "SerialNumber",
}
"""Where ExifTool's word for a tag is another than the standard's."""

_LEFT_OUT = frozenset(map(int, (ExifTags.Base.MakerNote, ExifTags.Base.ExifOffset, ExifTags.Base.GPSInfo)))
_FORMATS = tuple(file_type.name for file_type in IMAGE_TYPES)


class PillowExifReader:
    """A `MetadataReader` that needs nothing installed."""

    name = f"pillow {pillow_version} (no maker notes: install exiftool)"

    def read(self, path: Path) -> RawTags:
        """As the port says."""
        try:
            with Image.open(path, formats=_FORMATS) as image:
                exif = image.getexif()
                return {**_group("IFD0", dict(exif)), **_group("ExifIFD", dict(exif.get_ifd(ExifTags.IFD.Exif)))}
        except Exception as error:  # Pillow's EXIF parser raises whatever the bytes lead it to.
            raise MetadataUnread(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Nothing to let go."""


def _group(group: str, values: dict[int, Any]) -> dict[str, Any]:
    named = {}
    for tag, value in values.items():
        if tag in _LEFT_OUT:
            continue
        name = _EXIFTOOL_NAMES.get(tag) or ExifTags.TAGS.get(tag, f"Tag0x{tag:04x}")
        named[f"{group}:{name}"] = _number(value)
    return named


def _number(value: object) -> object:
    """Pillow's rationals as floats; a division by zero in them is nan, which JSON does not keep."""
    return float(value) if isinstance(value, TiffImagePlugin.IFDRational) else value
