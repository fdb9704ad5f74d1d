"""From a file's raw tags to what it says of itself. Absent means the file does not say; nothing is guessed.

Raw tags are named as ExifTool's family 1 does, with numeric values: `IFD0:Make`, `ExifIFD:DateTimeOriginal`,
`Reconyx:TriggerMode`. Make and model are reported as they stand, also where a Cuddeback has them the wrong way round
and where a Browning calls itself Prometheus: a season's camera is the deployment's to say.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from varanger.common.messages import MediaMetadata
from varanger.common.words import CaptureMethod
from varanger.ingest.domain.capture_time import capture_time
from varanger.ingest.domain.exif_data import exif_data
from varanger.ingest.domain.position import position
from varanger.ingest.domain.tag_values import number, pair, positive, switch, text, whole

RawTags = Mapping[str, Any]
_Meaning = TypeVar("_Meaning")

_MAKE = ("IFD0:Make", "XMP-tiff:Make", "Keys:Make", "UserData:Make", "ItemList:Make", "QuickTime:Make", "RIFF:Make")
_MODEL = tuple(tag.replace(":Make", ":Model") for tag in _MAKE)
_SERIAL_NUMBER = (
    *("Reconyx:SerialNumber", "ExifIFD:SerialNumber", "IFD0:SerialNumber", "IFD0:CameraSerialNumber"),
    *("XMP-aux:SerialNumber", "XMP-exifEX:SerialNumber", "Keys:SerialNumber", "UserData:SerialNumber"),
)
_TEMPERATURE = ("Reconyx:AmbientTemperature", "ExifIFD:AmbientTemperature")
_INFRARED = ("Reconyx:InfraredIlluminator", "Reconyx:Illumination", "Reconyx:Flash")
"""HyperFire; UltraFire; HyperFire 2 and later, whose only flash it is."""
_EXPOSURE_TIME = ("ExifIFD:ExposureTime", "IFD0:ExposureTime", "XMP-exif:ExposureTime")
_F_NUMBER = ("ExifIFD:FNumber", "IFD0:FNumber", "XMP-exif:FNumber")
_ISO = ("ExifIFD:ISO", "IFD0:ISO", "XMP-exif:ISO")
_TRIGGERS = {
    "T": CaptureMethod.TIME_LAPSE,
    "M": CaptureMethod.ACTIVITY_DETECTION,
    "E": CaptureMethod.ACTIVITY_DETECTION,
}
"""Reconyx `TriggerMode`: time lapse, motion, external sensor. Code entered, by hand, cell status are neither."""

_MOST_VOLTS = 100
"""No camera trap runs on more: above, the number is millivolts, as ExifTool reports a HyperFire 2's."""


def read_metadata(tags: RawTags, reader: str) -> MediaMetadata:
    """What the file says, in Camtrap DP words.

    Args:
        tags: raw tags, see above; may be empty.
        reader: which reader answered, and what it cannot read.
    """
    taken = capture_time(tags)
    sequence_number, sequence_length = pair(tags.get("Reconyx:Sequence"))
    latitude, longitude = position(tags)
    return MediaMetadata(
        captured_at=taken.at,
        sub_seconds=taken.sub_seconds,
        utc_offset=taken.utc_offset,
        make=_first(text, tags, _MAKE),
        model=_first(text, tags, _MODEL),
        serial_number=_first(text, tags, _SERIAL_NUMBER),
        user_label=text(tags.get("Reconyx:UserLabel")),
        capture_method=_TRIGGERS.get((text(tags.get("Reconyx:TriggerMode")) or "").upper()),
        sequence_number=sequence_number,
        sequence_length=sequence_length,
        event_number=_counted(tags.get("Reconyx:EventNumber")),
        temperature_c=_first(number, tags, _TEMPERATURE),
        moon_phase=_moon_phase(tags.get("Reconyx:MoonPhase")),
        battery_v=_volts(tags.get("Reconyx:BatteryVoltage")),
        infrared=_first(switch, tags, _INFRARED),
        exposure_time_s=_first(positive, tags, _EXPOSURE_TIME),
        f_number=_first(positive, tags, _F_NUMBER),
        iso=_first(_counted, tags, _ISO),
        latitude=latitude,
        longitude=longitude,
        exif_data=exif_data(tags),
        reader=reader,
    )


def orientation(tags: RawTags) -> int:
    """EXIF orientation, 1 to 8; 1 (as stored) where the file says nothing sensible."""
    value = tags.get("IFD0:Orientation")
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _first(meaning: Callable[[object], _Meaning | None], tags: RawTags, names: Iterable[str]) -> _Meaning | None:
    """The first of these tags that says something."""
    return next((found for name in names if (found := meaning(tags.get(name))) is not None), None)


def _counted(value: object) -> int | None:
    found = whole(value)
    return found if found is not None and found >= 0 else None


def _moon_phase(value: object) -> int | None:
    phase = whole(value)
    return phase if phase in range(8) else None


def _volts(value: object) -> float | None:
    volts = positive(value)
    return volts if volts is None or volts <= _MOST_VOLTS else volts / 1000
