"""Turns a frame into the file a camera would write: information strip, EXIF, JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from PIL import ExifTags, Image, ImageDraw, ImageFont
from varanger.fieldsim.drawing.noise import Bytes
from varanger.fieldsim.plan import CameraSetup
from varanger.fieldsim.season import CaptureMethod

STRIP_SHARE: Final = 0.05
"""Height of the information strip as a share of the image height."""

_DATE: Final = "%Y:%m:%d %H:%M:%S"
_TRIGGER: Final[dict[CaptureMethod, str]] = {"activityDetection": "Motion", "timeLapse": "Time"}


@dataclass(frozen=True)
class Shot:
    """What a camera knows when it writes a file; `captured_at` None leaves every date out."""

    setup: CameraSetup
    serial_number: str
    captured_at: datetime | None
    method: CaptureMethod
    frame: int
    frames: int


def strip_rows(setup: CameraSetup) -> int:
    """Rows at the bottom that the camera's information strip hides."""
    return round(setup.size[1] * STRIP_SHARE) if setup.strip else 0


def encode(pixels: Bytes, shot: Shot) -> bytes:
    """The bytes of a JPEG of uint8 pixels [height, width, 3] or [height, width]; always written as RGB."""
    image = Image.fromarray(pixels).convert("RGB")
    if shot.setup.strip and shot.captured_at is not None:
        _write_strip(image, shot, shot.captured_at)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=shot.setup.quality, exif=exif(shot))
    return stream.getvalue()


def exif(shot: Shot) -> bytes:
    """EXIF with make, model, serial number, trigger and, if known, the local date with milliseconds."""
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = shot.setup.make
    tags[ExifTags.Base.Model] = shot.setup.model
    tags[ExifTags.Base.ImageDescription] = "Simulated by varanger-fieldsim"
    inner = tags.get_ifd(ExifTags.IFD.Exif)
    inner[ExifTags.Base.BodySerialNumber] = shot.serial_number
    trigger = f"TriggerMode={_TRIGGER[shot.method]} Sequence={shot.frame} of {shot.frames}"
    inner[ExifTags.Base.UserComment] = b"ASCII\0\0\0" + trigger.encode("ascii")
    if shot.captured_at is not None:
        moment = shot.captured_at.strftime(_DATE)
        tags[ExifTags.Base.DateTime] = moment
        inner[ExifTags.Base.DateTimeOriginal] = moment
        inner[ExifTags.Base.DateTimeDigitized] = moment
        inner[ExifTags.Base.SubsecTimeOriginal] = f"{shot.captured_at.microsecond // 1000:03d}"
    return tags.tobytes()


def _write_strip(image: Image.Image, shot: Shot, moment: datetime) -> None:
    width, height = image.size
    rows = strip_rows(shot.setup)
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, height - rows, width, height], (12, 12, 12))
    degrees = 14 + (moment.hour - 2) % 12
    text = f"{shot.setup.model}   {moment:%Y-%m-%d %H:%M:%S}   {degrees} C   {shot.serial_number}"
    draw.text((8, height - rows + 3), text, (235, 235, 235), ImageFont.load_default(rows * 0.62))
