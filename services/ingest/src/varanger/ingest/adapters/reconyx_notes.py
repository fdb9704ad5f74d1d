"""What ExifTool gets wrong or does not know of Reconyx cameras, put right from the file itself."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from varanger.ingest.domain.capture_time import parse_exif_date
from varanger.ingest.domain.reconyx_note import read_note

_HYPERFIRE_2_DATE = "Reconyx:DateTimeOriginal"
_REVERSED = re.compile(r"^(\d+):(\d+):(\d+)$")
_OF_OTHER_CAMERAS = frozenset({"Reconyx:UIBFirmwareVersion", "Reconyx:BluetoothFirmwareVersion"})
"""Tags of the HyperFire 4K and the MicroFire, which have file numbers too."""


def complete(tags: dict[str, Any], path: Path) -> dict[str, Any]:
    """ExifTool's tags of the file at `path`, with the notes it does not know and the date it turns around."""
    if any(tag.startswith("Reconyx:") for tag in tags):
        return _with_upright_date(tags)
    if str(tags.get("File:FileType")) != "JPEG" or str(tags.get("IFD0:Make", "RECONYX")).upper() != "RECONYX":
        return tags
    return {**tags, **note_of(path)}


def note_of(path: Path) -> dict[str, Any]:
    """The tags of a JPEG's Reconyx note; empty where there is none or Pillow cannot find it."""
    with suppress(Exception), Image.open(path, formats=("JPEG",)) as image:  # its EXIF parser raises anything
        exif = image.getexif()
        return note_in(exif)
    return {}


def note_in(exif: Image.Exif) -> dict[str, Any]:
    """The tags of the Reconyx note in EXIF as Pillow reads it."""
    note = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.MakerNote)
    make = str(exif.get(ExifTags.Base.Make, "")).partition("\0")[0].strip()
    return read_note(note, make) if isinstance(note, bytes) else {}


def _with_upright_date(tags: dict[str, Any]) -> dict[str, Any]:
    """ExifTool, 12.57 as well as 13.59, reads month and day of the HyperFire 2's own date the wrong way round.

    All 25 real files we have show it, against their standard date. The note's day of the week (1 is Sunday) would tell
    a version that reads them right.
    """
    said = tags.get(_HYPERFIRE_2_DATE)
    if "Reconyx:FileNumber" not in tags or not tags.keys().isdisjoint(_OF_OTHER_CAMERAS) or not isinstance(said, str):
        return tags
    day, _, time = said.partition(" ")
    turned = _REVERSED.sub(r"\1:\3:\2", day) + f" {time}"
    if _falls_on_its_day(said, tags) and not _falls_on_its_day(turned, tags):
        return tags
    return {**tags, _HYPERFIRE_2_DATE: turned}


def _falls_on_its_day(said: str, tags: Mapping[str, Any]) -> bool:
    when = parse_exif_date(said)
    return when is not None and when.isoweekday() % 7 + 1 == tags.get("Reconyx:DayOfWeek")
