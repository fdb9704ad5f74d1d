"""How many passes a JPEG asks of its decoder, before it gets there.

A progressive JPEG may hold any number of scans of a few bytes, and each costs a pass over the whole image: 200 kB that
take minutes (https://libjpeg-turbo.org/pmwiki/uploads/About/TwoIssueswiththeJPEGStandard.pdf). Cameras write one,
encoders about ten.
"""

import mmap
from pathlib import Path

from varanger.ingest.domain.verdict import Quarantine, QuarantineReason

MOST_SCANS = 100
_START_OF_SCAN = b"\xff\xda"


def refuse_scans(path: Path) -> Quarantine | None:
    """The verdict on a JPEG of too many scans; None where it may be decoded.

    Every scan has these two bytes, which image data never has (there 0xFF is followed by 0 or a restart marker), so
    there are never more scans than counted; previews among the metadata count too, and are few. A file cannot be empty.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place, scans = data.find(_START_OF_SCAN), 0
        while place >= 0:
            scans += 1
            if scans > MOST_SCANS:
                detail = f"the JPEG has more than {MOST_SCANS} scans: it would take too long to decode"
                return Quarantine(QuarantineReason.TOO_MANY_SCANS, detail)
            place = data.find(_START_OF_SCAN, place + 2)
    return None
