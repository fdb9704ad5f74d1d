"""Media, where they are, and what is seen in them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Detection:
    """One box of one model stage; `bbox` is left, top, width, height, from 0 to 1."""

    stage: str
    label: str
    confidence: float
    bbox: tuple[float, ...]


@dataclass(frozen=True)
class Observation:
    """A taxon with a count. A model says its confidence, a person their certainty."""

    taxon: str
    count: int
    confidence: float | None = None
    certainty: str | None = None


@dataclass(frozen=True, kw_only=True)
class Media:
    """One accepted file and what it shows. `captured_at` is the camera's own time, without a zone."""

    media_id: str
    project: str
    deployment: str
    name: str
    original_name: str
    original_path: str | None = None
    sha256: str
    bytes: int
    state: str
    duplicate_of: str | None = None
    received_at: datetime
    captured_at: datetime | None = None
    captured_at_utc: datetime | None = None
    captured_at_local: datetime | None = None
    """Corrected, without a zone."""
    time_zone: str | None = None
    clock_correction_s: float | None = None
    utc_offset: str | None = None
    sub_seconds: float | None = None
    capture_method: str | None = None
    event_id: str | None = None
    sequence_number: int | None = None
    sequence_length: int | None = None
    event_number: int | None = None
    width: int | None = None
    height: int | None = None
    make: str | None = None
    model: str | None = None
    serial_number: str | None = None
    user_label: str | None = None
    temperature_c: float | None = None
    moon_phase: int | None = None
    """0 to 7, new moon first."""
    battery_v: float | None = None
    infrared: bool | None = None
    exposure_time_s: float | None = None
    f_number: float | None = None
    iso: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    duration_s: float | None = None
    frame_rate: float | None = None
    flags: tuple[str, ...] = ()
    label: str | None = None
    confidence: float | None = None
    observations: tuple[Observation, ...] = ()
    route: str | None = None
    release: str | None = None
    private: bool = False
    detections: tuple[Detection, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One release's answer for one media or frame of it, or that it was asked for, or why there is none."""

    release: str
    frame_number: int | None = None
    purpose: str
    state: str
    attempt: int
    label: str | None = None
    confidence: float | None = None
    route: str | None = None
    answer: dict[str, Any] | None = None
    reason: str | None = None
    producer: str | None = None
    requested_at: datetime
    answered_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Review:
    """One person's answer."""

    review_id: str
    media_id: str
    round_id: str | None = None
    rank: str
    observer: str
    observations: tuple[Observation, ...]
    image_quality: str
    comment: str = ""
    reviewed_at: datetime


@dataclass(frozen=True)
class Fault:
    """Why it is quarantined, or lies in the dead letters."""

    reason: str
    detail: str
    at: datetime
    dead_letter_id: str | None = None
    replayed_at: datetime | None = None


@dataclass(frozen=True)
class HistoryLine:
    """Something that happened to it."""

    at: datetime
    what: str
    by: str
    details: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class WholeMedia(Media):
    """Everything known of one file."""

    answer_in_force: Review | None = None
    """The review that counts; None where nobody looked."""
    predictions: tuple[Prediction, ...] = ()
    reviews: tuple[Review, ...] = ()
    faults: tuple[Fault, ...] = ()
    exif_data: dict[str, Any] = field(default_factory=dict)
    history: tuple[HistoryLine, ...] = ()
    entries: tuple[str, ...] | None = None
    """Of an archive that was unpacked: the media ids of what was in it."""
    frame_numbers: tuple[int, ...] | None = None
    """Of a video: the frames that were looked at."""


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Counts: `received` = `media` + `duplicate` + `quarantined` + `failed` + `pending`."""

    received: int
    media: int
    duplicate: int
    quarantined: int
    failed: int
    pending: int
    by_label: dict[str, int] = field(default_factory=dict)
    by_route: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One trigger burst. Its times are UTC; None of a media without a date."""

    event_id: str
    deployment: str
    event_start: datetime | None = None
    """None where the camera's time is unknown; such a media is an event of its own."""
    event_end: datetime | None = None
    capture_method: str | None = None
    media_count: int


@dataclass(frozen=True, kw_only=True)
class QuarantinedFile:
    """A file that is kept, with a reason, and is not media. `mend` says what would make it media."""

    media_id: str
    project: str
    deployment: str
    original_name: str
    original_path: str | None = None
    sha256: str
    bytes: int
    reason: str
    detail: str = ""
    quarantined_at: datetime
    released_at: datetime | None = None
    mend: Any = None


@dataclass(frozen=True)
class Reviews:
    """What was recorded, in the order it was sent."""

    reviews: tuple[Review, ...]
