"""Projects and deployments."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Project:
    """What deployments, keys and releases belong to. `release_id` is in force; None: none yet, media wait."""

    project_id: str
    title: str
    created_at: datetime
    release_id: str | None = None


@dataclass(frozen=True)
class Offset:
    """The clock was wrong by the same amount all the time; `seconds` are added to the camera's time."""

    seconds: float
    kind: str = "offset"


@dataclass(frozen=True)
class ClockPoint:
    """What the camera's clock showed when it truly was another time. Both without a zone."""

    camera: datetime
    true: datetime


@dataclass(frozen=True)
class Drift:
    """The clock ran fast or slow, steadily: two points of it."""

    points: tuple[ClockPoint, ...]
    kind: str = "drift"


@dataclass(frozen=True)
class WrongYear:
    """The clock was set to another year; `years` are added."""

    years: int
    kind: str = "wrong_year"


@dataclass(frozen=True)
class WrongZone:
    """The clock was set to another zone than the deployment's (an IANA name)."""

    camera_zone: str
    kind: str = "wrong_zone"


ClockCorrection = Offset | Drift | WrongYear | WrongZone


@dataclass(frozen=True)
class BlindPeriod:
    """A time when the camera stood there but did not see."""

    start: datetime
    end: datetime
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One camera at one location for a period."""

    project_id: str
    deployment_id: str
    location_id: str
    location_name: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    camera_id: str | None = None
    camera_model: str | None = None
    camera_setup: str = "default"
    habitat: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    blind_periods: tuple[BlindPeriod, ...] = ()
    time_zone: str = "Etc/UTC"
    clock_correction: Offset | Drift | WrongYear | WrongZone | dict[str, Any] | None = None
    """A dictionary where the gateway knows a kind that this client does not."""
    event_gap_s: float = 60.0
    applied: bool = True
    """Whether a change of it has reached all recorded media."""
    created_at: datetime | None = None
