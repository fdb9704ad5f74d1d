"""Time, kept four ways: the camera's own, the correction, the deployment's zone, and the UTC that follows from them.

DST is never guessed. A local time that a zone has twice, or skips, is decided by the offset that the file itself says,
where that is one of the two in question. Else it is read with the offset of before the change (PEP 495's `fold=0`:
summer time where an hour comes twice; the clock that was not put forward where one is skipped), and flagged.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from varanger.api.domain.clock_correction import ClockCorrection, WrongZone, corrected

_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
_YEARS = range(2, 9999)
"""Python's calendar without its first and last year: every zone's reading of it exists too."""


class TimeFlag(StrEnum):
    """What a deployment makes of a media's time; derived again with it."""

    AMBIGUOUS_LOCAL_TIME = "ambiguous_local_time"
    MISSING_LOCAL_TIME = "missing_local_time"
    OFFSET_DISAGREES = "offset_disagrees"
    LEAP_DAY = "leap_day"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    BEFORE_DEPLOYMENT = "before_deployment"
    AFTER_DEPLOYMENT = "after_deployment"
    IN_BLIND_PERIOD = "in_blind_period"


@dataclass(frozen=True)
class Period:
    """From `start` to before `end`, aware."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class TimeRule:
    """What a deployment says of its media's times."""

    time_zone: str = "Etc/UTC"
    correction: ClockCorrection | None = None
    start: datetime | None = None
    end: datetime | None = None
    blind_periods: Sequence[Period] = ()


@dataclass(frozen=True)
class DerivedTime:
    """A camera's time as its deployment reads it."""

    correction_s: float
    """Seconds added to the camera's own time; their sum is the true local time."""
    utc: datetime | None
    """None where it would lie outside the years a computer's calendar has."""
    flags: tuple[TimeFlag, ...] = ()


_OUT_OF_RANGE = DerivedTime(0.0, None, (TimeFlag.TIME_OUT_OF_RANGE,))


def derive_time(captured_at: datetime, rule: TimeRule, utc_offset: str | None = None) -> DerivedTime:
    """The camera's own naive time, corrected, read in the deployment's zone, and compared with its period.

    Args:
        captured_at: the camera's own naive time.
        rule: the deployment's.
        utc_offset: `+HH:MM` as the file says it, if it does. It decides between two readings of one local time; where
            it fits none, the deployment's zone wins.
    """
    try:
        correction_s, utc, flags = _derive(captured_at, rule, utc_offset)
    except OverflowError:
        return _OUT_OF_RANGE
    if utc.year not in _YEARS:
        return _OUT_OF_RANGE
    return DerivedTime(correction_s, utc, (*flags, *_period_flags(utc, rule)))


def _derive(captured_at: datetime, rule: TimeRule, said: str | None) -> tuple[float, datetime, list[TimeFlag]]:
    zone = ZoneInfo(rule.time_zone)
    if isinstance(rule.correction, WrongZone):
        # The camera's clock is read in its own zone; what the deployment's clocks showed then is known for certain.
        utc, flags = _in_utc(captured_at, ZoneInfo(rule.correction.camera_zone), said)
        local = utc.astimezone(zone).replace(tzinfo=None)
        return (local - captured_at).total_seconds(), utc, flags
    true = corrected(captured_at, rule.correction)
    utc, flags = _in_utc(true.local, zone, said)
    if true.leap_day:
        flags = [TimeFlag.LEAP_DAY, *flags]
    return (true.local - captured_at).total_seconds(), utc, flags


def _in_utc(local: datetime, zone: ZoneInfo, said: str | None) -> tuple[datetime, list[TimeFlag]]:
    before, after = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    offsets = [_offset(before), _offset(after)]
    told = _parsed(said)
    if told is not None and told in offsets:
        return (after if told == offsets[1] else before).astimezone(UTC), []
    flags = [] if told is None else [TimeFlag.OFFSET_DISAGREES]
    if offsets[0] > offsets[1]:
        flags.append(TimeFlag.AMBIGUOUS_LOCAL_TIME)
    elif offsets[0] < offsets[1]:
        flags.append(TimeFlag.MISSING_LOCAL_TIME)
    return before.astimezone(UTC), flags


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta()


def _parsed(offset: str | None) -> timedelta | None:
    if offset == "Z":
        return timedelta()
    found = _OFFSET.fullmatch(offset or "")
    if found is None:
        return None
    sign = -1 if found[1] == "-" else 1
    return sign * timedelta(hours=int(found[2]), minutes=int(found[3]))


def _period_flags(utc: datetime, rule: TimeRule) -> Iterable[TimeFlag]:
    if rule.start is not None and utc < rule.start:
        yield TimeFlag.BEFORE_DEPLOYMENT
    if rule.end is not None and utc > rule.end:
        yield TimeFlag.AFTER_DEPLOYMENT
    if any(period.start <= utc < period.end for period in rule.blind_periods):
        yield TimeFlag.IN_BLIND_PERIOD
