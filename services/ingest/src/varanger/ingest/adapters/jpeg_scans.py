"""How many passes a JPEG asks of its decoder, before it gets there.

A progressive JPEG may hold any number of scans of a few bytes, and each costs a pass over the whole image: 200 kB that
take minutes (https://libjpeg-turbo.org/pmwiki/uploads/About/TwoIssueswiththeJPEGStandard.pdf). Cameras write one,
encoders about ten.
"""

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


def refuse_scans(path: Path, pixels: int) -> Quarantine | None:
    """The verdict on a JPEG of too many scans for its `pixels`; None where it may be decoded.

    Every scan has these two bytes, which image data never has (there 0xFF is followed by 0 or a restart marker), so
    there are never more scans than counted; previews among the metadata count too, and are few. A file cannot be empty.
    """
    allowed = min(NEVER_ALLOWED, max(ALWAYS_ALLOWED, DECODED_PIXELS // max(1, pixels)))
    data = np.memmap(path, np.uint8, "r")
    # As pairs from either of two beginnings: a twentieth of the time of a search for two bytes.
    scans = sum(int(np.count_nonzero(_pairs(data[start:]) == _START_OF_SCAN)) for start in (0, 1))
    if scans <= allowed:
        return None
    detail = f"the JPEG has {scans} scans, more than the {allowed} that are decoded of an image of its size"
    return Quarantine(QuarantineReason.TOO_MANY_SCANS, detail)


def _pairs(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return data[: data.size // 2 * 2].view("<u2")
