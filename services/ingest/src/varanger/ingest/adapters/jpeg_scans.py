"""How many passes a JPEG asks of its decoder, before it gets there.

A progressive JPEG may hold any number of scans of a few bytes, and each costs a pass over the whole image: 200 kB that
take minutes (https://libjpeg-turbo.org/pmwiki/uploads/About/TwoIssueswiththeJPEGStandard.pdf). Cameras write one,
encoders about ten.
"""

import re
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varanger.ingest.domain.verdict import Quarantine, QuarantineReason

ALWAYS_ALLOWED = 20
NEVER_ALLOWED = 500
DECODED_PIXELS = 1_200_000_000
"""Pixels times scans: 100 scans of a 12-megapixel image, which take two to five seconds."""
_START_OF_SCAN = 0xDAFF
"""FF DA, read as one number, low byte first."""
_SCAN, _END = 0xDA, 0xD9
_SEGMENT = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
"""A marker that a length follows, and the image's end; not restart markers, which stand among image data."""
_MOST_SEGMENTS = 20_000
"""What nobody writes and would take long to walk through counts as too many scans."""


def refuse_scans(path: Path, pixels: int) -> Quarantine | None:
    """The verdict on a JPEG of too many scans for its `pixels`; None where it may be decoded.

    A file cannot be empty.
    """
    allowed = min(NEVER_ALLOWED, max(ALWAYS_ALLOWED, DECODED_PIXELS // max(1, pixels)))
    if _at_most(path) <= allowed or _scans_until(path, allowed + 1) <= allowed:
        return None
    detail = f"the JPEG has more scans than the {allowed} that are decoded of an image of its size"
    return Quarantine(QuarantineReason.TOO_MANY_SCANS, detail)


def _at_most(path: Path) -> int:
    """How often the two bytes stand anywhere in the file that every scan has, and image data never: quickly told."""
    data = np.memmap(path, np.uint8, "r")
    # As pairs from either of two beginnings: a twentieth of the time of a search for two bytes.
    return sum(int(np.count_nonzero(_pairs(data[start:]) == _START_OF_SCAN)) for start in (0, 1))


def _scans_until(path: Path, enough: int) -> int:
    """The scans that a decoder would meet, no further than `enough` of them.

    Marker by marker to the image's end: what stands inside its metadata, or behind its end, as a film or the rest of
    an overwritten file does, is not decoded.
    """
    scans, place = 0, 0
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        for _ in range(_MOST_SEGMENTS):
            marker = _SEGMENT.search(data, place)
            if marker is None or marker[1][0] == _END or scans == enough:
                return scans
            scans += marker[1][0] == _SCAN
            place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return enough


def _pairs(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return data[: data.size // 2 * 2].view("<u2")
