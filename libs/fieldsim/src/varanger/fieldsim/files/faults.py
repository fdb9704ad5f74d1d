"""The odd files that field cards really hold, each made from a good photo's bytes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Final

from PIL import Image

from varanger.fieldsim.plan import FaultKind
from varanger.fieldsim.season import Expected

EXPECTED: Final[dict[FaultKind, Expected]] = {
    "truncated_jpeg": "media",
    "png_named_jpg": "quarantined",
    "text_named_jpg": "quarantined",
    "empty_file": "quarantined",
    "bomb_jpeg": "quarantined",
    "bomb_png": "quarantined",
    "no_date": "media",
    "duplicate": "duplicate",
}

BOMB_SIDE: Final = 60_000
"""Pixels a bomb claims on each side; 3.6 gigapixels, more than ten gigabytes once decoded."""


def suffix(kind: FaultKind) -> str:
    """The extension the odd file carries; only the PNG bomb is named for what it claims to be."""
    return ".PNG" if kind == "bomb_png" else ".JPG"


def spoil(kind: FaultKind, photo: bytes) -> bytes:
    """What becomes of a good photo.

    Args:
        kind: What is wrong. For `duplicate` pass the file to repeat, for `no_date` a photo without dates.
        photo: The bytes of a JPEG.

    Returns:
        The bytes of the odd file.
    """
    return _SPOILERS[kind](photo)


def _as_png(photo: bytes) -> bytes:
    stream = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _claim_size(photo: bytes) -> bytes:
    """The same JPEG with another height and width in its frame header (SOF0 to SOF2).

    Raises:
        ValueError: If the bytes hold no frame header.
    """
    position = 2
    while position + 4 <= len(photo):
        marker, length = struct.unpack(">HH", photo[position : position + 4])
        if 0xFFC0 <= marker <= 0xFFC2:
            size = struct.pack(">HH", BOMB_SIDE, BOMB_SIDE)
            return photo[: position + 5] + size + photo[position + 9 :]
        position += 2 + length
    raise ValueError("not a JPEG with a frame header")


def _png_bomb() -> bytes:
    """A PNG whose header claims `BOMB_SIDE` squared pixels, with the first few rows of them."""
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * (1 + 3 * BOMB_SIDE) * 4, 9)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


_SPOILERS: Final[dict[FaultKind, Callable[[bytes], bytes]]] = {
    "truncated_jpeg": lambda photo: photo[: len(photo) * 3 // 5],
    "png_named_jpg": _as_png,
    "text_named_jpg": lambda _: b"card 2, battery changed, camera faces north\n",
    "empty_file": lambda _: b"",
    "bomb_jpeg": _claim_size,
    "bomb_png": lambda _: _png_bomb(),
    "no_date": lambda photo: photo,
    "duplicate": lambda photo: photo,
}
