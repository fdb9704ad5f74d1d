"""What was wrong with a camera's clock, and the four ways of time: the camera's own, the correction, the zone, UTC.

Nothing here touches a file: times are derived again whenever what is known of the clock changes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, TypeAdapter

from varanger.common.words import Frozen


class Offset(Frozen):
    """The clock was wrong by the same amount all the time."""

    kind: Literal["offset"] = "offset"
    seconds: float = Field(ge=-5e9, le=5e9)
    """Added to the camera's time."""


ClockCorrection = Annotated[Offset, Field(discriminator=None)]
CLOCK_CORRECTION: TypeAdapter[ClockCorrection] = TypeAdapter(ClockCorrection)


@dataclass(frozen=True)
class DerivedTime:
    """A camera's time as its deployment reads it."""

    correction_s: float
    """Seconds added to the camera's own time; their sum is the true local time."""
    utc: datetime | None
    flags: tuple[str, ...] = ()


def derive_time(captured_at: datetime, time_zone: str, correction: ClockCorrection | None) -> DerivedTime:
    """The camera's own naive time, corrected and read in the deployment's IANA zone."""
    seconds = 0.0 if correction is None else correction.seconds
    local = captured_at + timedelta(seconds=seconds)
    return DerivedTime(seconds, local.replace(tzinfo=ZoneInfo(time_zone)).astimezone(UTC))
