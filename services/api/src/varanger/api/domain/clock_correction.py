"""What was wrong with a camera's clock: corrections, as a person states them.

A correction says what to add to the camera's own time to get the true local time of the deployment. `camera_time.py`
makes UTC of that. Nothing here touches a file: times are derived again whenever what is known of the clock changes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from varanger.common.clock import CameraTime
from varanger.common.words import Frozen

LONGEST_S = 5e9
"""About 158 years: more than any camera's clock can be off."""


def _iana_name(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no IANA time zone; write it as in Europe/Oslo, or Etc/GMT-1 for UTC+1")
    return name


ZoneName = Annotated[str, AfterValidator(_iana_name)]
"""An IANA name."""


class Offset(Frozen):
    """The clock was wrong by the same amount all the time."""

    kind: Literal["offset"] = "offset"
    seconds: float = Field(ge=-LONGEST_S, le=LONGEST_S)
    """Added to the camera's time."""


class ClockPoint(Frozen):
    """What the camera's clock showed at a moment whose true local time is known."""

    camera: CameraTime
    true: CameraTime
    """The true local time in the deployment's zone, without an offset."""


class Drift(Frozen):
    """The clock ran too fast or too slow: a straight line through two points, also before and after them."""

    kind: Literal["drift"] = "drift"
    points: tuple[ClockPoint, ClockPoint]

    @model_validator(mode="after")
    def _rises(self) -> "Drift":
        first, second = self.points
        if second.camera <= first.camera:
            raise ValueError("points.1.camera must be later than points.0.camera: give the earlier point first")
        if second.true <= first.true:
            raise ValueError("points.1.true must be later than points.0.true: time ran forward between the points")
        return self


class WrongYear(Frozen):
    """The clock was set to a wrong year, and right in everything else.

    Month, day and time stay. 29 February, where the true year has none, is read as 1 March, the day after 28 February,
    and flagged. A camera that lived through a wrong leap day is a day off from then on: that is an `offset`.
    """

    kind: Literal["wrong_year"] = "wrong_year"
    years: int = Field(ge=-150, le=150)
    """Added to the camera's year."""


class WrongZone(Frozen):
    """The clock was right in another zone than the deployment's."""

    kind: Literal["wrong_zone"] = "wrong_zone"
    camera_zone: ZoneName
    """The zone that the camera's clock showed. One that kept winter time all year has a zone like Etc/GMT-1."""


ClockCorrection = Annotated[Offset | Drift | WrongYear | WrongZone, Field(discriminator="kind")]
CLOCK_CORRECTION: TypeAdapter[ClockCorrection] = TypeAdapter(ClockCorrection)


@dataclass(frozen=True)
class Corrected:
    """A camera's time after a correction that needs no zone."""

    local: datetime
    leap_day: bool = False
    """It was 29 February, and the true year has none."""


def corrected(captured_at: datetime, correction: Offset | Drift | WrongYear | None) -> Corrected:
    """The true local time, naive, to the microsecond.

    Raises:
        OverflowError: before year 1 or after 9999.
    """
    match correction:
        case None:
            return Corrected(captured_at)
        case Offset():
            return Corrected(captured_at + timedelta(seconds=correction.seconds))
        case Drift():
            return Corrected(captured_at + _drifted(captured_at, correction))
        case WrongYear():
            return _in_the_right_year(captured_at, correction.years)


def _drifted(captured_at: datetime, drift: Drift) -> timedelta:
    first, second = drift.points
    began = first.true - first.camera
    grew = (second.true - second.camera) - began
    # Numbers, not `timedelta * float`: at the points themselves the correction is exact to the microsecond.
    share = (captured_at - first.camera) / (second.camera - first.camera)
    return began + timedelta(seconds=grew.total_seconds() * share)


def _in_the_right_year(captured_at: datetime, years: int) -> Corrected:
    year = captured_at.year + years
    if not 1 <= year <= 9999:
        raise OverflowError(f"year {year}")
    try:
        return Corrected(captured_at.replace(year=year))
    except ValueError:
        return Corrected(captured_at.replace(year=year, month=3, day=1), leap_day=True)
