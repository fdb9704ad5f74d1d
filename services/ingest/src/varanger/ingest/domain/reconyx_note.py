"""Reconyx maker notes by their fixed layouts, into tags named and valued as ExifTool does.

Five cameras, five layouts, told apart by how the note begins, all little-endian: HyperFire, UltraFire, HyperFire 2,
MicroFire and HyperFire 4K. Offsets are those of ExifTool 13.59's `Reconyx.pm`
(https://exiftool.org/TagNames/Reconyx.html), which has them from Reconyx; ExifTool 12.57 does not know the last two.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Note = bytes
_Field = tuple[int, str, Callable[..., Any]]
"""Offset in bytes, `struct` format, and what makes ExifTool's value of what is unpacked."""


@dataclass(frozen=True)
class _Layout:
    begins: bytes
    fields: Mapping[str, _Field]


def read_note(note: Note, make: str = "") -> dict[str, Any]:
    """The note's tags, as `Reconyx:Sequence`; empty where it is no Reconyx note. A short note gives what it holds.

    Args:
        note: the maker note's bytes.
        make: EXIF's Make. A HyperFire of an old firmware is recognised by it, for its note begins too plainly.
    """
    layout = _layout_of(note, make)
    if layout is None:
        return {}
    tags = {}
    for name, (offset, form, value_of) in layout.fields.items():
        if offset + struct.calcsize(form) <= len(note):
            value = value_of(*struct.unpack_from(form, note, offset))
            if value is not None:
                tags[f"Reconyx:{name}"] = value
    return tags


def _layout_of(note: Note, make: str) -> _Layout | None:
    known = next((layout for layout in _NAMED if note.startswith(layout.begins)), None)
    if known is not None or not note.startswith(_HYPERFIRE.begins):
        return known
    return _HYPERFIRE if note[2:4] in (b"\x02\x00", b"\x03\x00") or make == "RECONYX" else None


def _same(value: int) -> int:
    return value


def _millivolts(value: int) -> float:
    return value / 1000


def _pair(first: int, second: int) -> str:
    return f"{first} {second}"


def _high_word_first(high: int, low: int) -> int:
    return (high << 16) + low


def _words_date(*words: int) -> str:
    """Second, minute, hour, month, day, year. Some firmware writes them big-endian in a little-endian note."""
    if words[0] & 0xFF00 and not words[0] & 0xFF:
        words = tuple(word >> 8 | (word & 0xFF) << 8 for word in words)
    second, minute, hour, month, day, year = words
    return f"{year:04}:{month:02}:{day:02} {hour:02}:{minute:02}:{second:02}"


def _bytes_date(*numbers: int) -> str:
    second, minute, hour, day, month, year = numbers
    return f"{year:04}:{month:02}:{day:02} {hour:02}:{minute:02}:{second:02}"


def _letters(value: bytes) -> str:
    """Up to the first NUL. Labels are typed into the camera's own menu or a PC's: UTF-8 where it is, else Latin-1."""
    upto_nul = value.partition(b"\0")[0]
    try:
        return upto_nul.decode()
    except UnicodeDecodeError:
        return upto_nul.decode("latin-1")


def _wide_letters(value: bytes) -> str:
    return value.decode("utf-16-le", errors="replace").partition("\0")[0]


_HYPERFIRE = _Layout(
    b"\x01\xf1",
    {
        "MakerNoteVersion": (0x00, "<H", _same),
        "TriggerMode": (0x0C, "2s", _letters),
        "Sequence": (0x0E, "<2H", _pair),
        "EventNumber": (0x12, "<2H", _high_word_first),
        "DateTimeOriginal": (0x16, "<6H", _words_date),
        "MoonPhase": (0x24, "<H", _same),
        "AmbientTemperatureFahrenheit": (0x26, "<h", _same),
        "AmbientTemperature": (0x28, "<h", _same),
        "SerialNumber": (0x2A, "30s", _wide_letters),
        "InfraredIlluminator": (0x50, "<H", _same),
        "BatteryVoltage": (0x54, "<H", _millivolts),
        "UserLabel": (0x56, "22s", _letters),
    },
)
_ULTRAFIRE = _Layout(
    b"RECONYXUF\0",
    {
        "TriggerMode": (0x34, "1s", _letters),
        "Sequence": (0x35, "2B", _pair),
        "EventNumber": (0x37, "<I", _same),
        "DateTimeOriginal": (0x3B, "<5BH", _bytes_date),
        "DayOfWeek": (0x42, "B", _same),
        "MoonPhase": (0x43, "B", _same),
        "AmbientTemperatureFahrenheit": (0x44, "<h", _same),
        "AmbientTemperature": (0x46, "<h", _same),
        "Illumination": (0x48, "B", _same),
        "BatteryVoltage": (0x49, "<H", _millivolts),
        "SerialNumber": (0x4B, "15s", _letters),
        "UserLabel": (0x5A, "21s", _letters),
    },
)
_HYPERFIRE_2 = _Layout(
    b"RECONYXH2\0",
    {
        "FileNumber": (0x10, "<H", _same),
        "DirectoryNumber": (0x12, "<H", _same),
        "TriggerMode": (0x34, "2s", _letters),
        "Sequence": (0x36, "<2H", _pair),
        "EventNumber": (0x3A, "<2H", _high_word_first),
        "DateTimeOriginal": (0x3E, "<6H", _words_date),
        "DayOfWeek": (0x4A, "<H", _same),
        "MoonPhase": (0x4C, "<H", _same),
        "AmbientTemperatureFahrenheit": (0x4E, "<h", _same),
        "AmbientTemperature": (0x50, "<h", _same),
        "Flash": (0x5A, "<H", _same),
        "BatteryVoltage": (0x62, "<H", _millivolts),
        "UserLabel": (0x68, "22s", _letters),
        "SerialNumber": (0x7E, "30s", _wide_letters),
    },
)
_MICROFIRE = _Layout(
    b"RECONYXMF\0",
    {
        "FileNumber": (0x10, "<H", _same),
        "DirectoryNumber": (0x12, "<H", _same),
        "TriggerMode": (0x44, "2s", _letters),
        "Sequence": (0x46, "<2H", _pair),
        "EventNumber": (0x4A, "<2H", _high_word_first),
        "DateTimeOriginal": (0x4E, "<6H", _words_date),
        "DayOfWeek": (0x5A, "<H", _same),
        "MoonPhase": (0x5C, "<H", _same),
        "AmbientTemperatureFahrenheit": (0x5E, "<h", _same),
        "AmbientTemperature": (0x60, "<h", _same),
        "Flash": (0x6A, "B", _same),
        "BatteryVoltage": (0x72, "<H", _millivolts),
        "UserLabel": (0x76, "22s", _letters),
        "SerialNumber": (0x8C, "30s", _wide_letters),
    },
)
_HYPERFIRE_4K = _Layout(
    b"RECONYXHF4K\0",
    {
        "TriggerMode": (0x28, "1s", _letters),
        "Sequence": (0x29, "2B", _pair),
        "EventNumber": (0x2B, "<I", _same),
        "DateTimeOriginal": (0x2F, "<5BH", _bytes_date),
        "DayOfWeek": (0x36, "B", _same),
        "MoonPhase": (0x37, "B", _same),
        "AmbientTemperatureFahrenheit": (0x38, "<h", _same),
        "AmbientTemperature": (0x3A, "<h", _same),
        "Flash": (0x44, "B", _same),
        "BatteryVoltage": (0x4B, "<H", _millivolts),
        "UserLabel": (0x51, "51s", _letters),
        "SerialNumber": (0x84, "15s", _letters),
        "DirectoryNumber": (0x93, "<H", _same),
        "FileNumber": (0x95, "<H", _same),
    },
)
_NAMED = (_ULTRAFIRE, _HYPERFIRE_2, _MICROFIRE, _HYPERFIRE_4K)
