"""The true local time of a media: what exports show, number by and name files with."""

import math
from datetime import datetime, timedelta


def local_time(captured_at: datetime | None, clock_correction_s: float) -> datetime | None:
    """The camera's own naive time with its clock put right, to the second; None where the file has no date, or where it
    would lie outside the calendar (`time_out_of_range`).

    Halves of a second go up. `adapters/export_rows.py` orders by the same rule in SQL.
    """
    if captured_at is None:
        return None
    try:
        return captured_at.replace(microsecond=0) + timedelta(seconds=math.floor(clock_correction_s + 0.5))
    except OverflowError:
        return None
