"""How the API tells of media."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from varanger.api.application.media_queries import KnownFile, Stats, WholeFile
from varanger.api.domain.review_in_force import review_in_force
from varanger.common.catalog.tables import NO_FRAME, DeadLetterRow, MediaHistory, PredictionRow, Review
from varanger.common.words import Detection, MediaState, Observation, ReviewObservation


class MediaOut(BaseModel):
    """One accepted file and what it shows. `captured_at` is the camera's own time; `release` made the answer."""

    media_id: UUID
    project: str
    deployment: str
    name: str
    original_name: str
    original_path: str | None
    sha256: str
    bytes: int
    state: MediaState
    duplicate_of: UUID | None
    received_at: datetime
    captured_at: datetime | None
    captured_at_utc: datetime | None
    capture_method: str | None
    width: int | None
    height: int | None
    make: str | None
    model: str | None
    serial_number: str | None
    flags: list[str]
    label: str | None
    confidence: float | None
    observations: list[Observation]
    route: str | None
    release: str | None
    private: bool
    detections: list[Detection]


class MediaPage(BaseModel):
    """Some files; `next` is the cursor of the page after, null on the last."""

    items: list[MediaOut]
    next: UUID | None


class PredictionOut(BaseModel):
    """One release's answer, or that it was asked for, or why there is none."""

    release: str
    frame_number: int | None
    purpose: str
    state: str
    attempt: int
    label: str | None
    confidence: float | None
    route: str | None
    answer: dict[str, Any] | None
    reason: str | None
    producer: str | None
    requested_at: datetime
    answered_at: datetime | None


class ReviewOut(BaseModel):
    """One person's answer."""

    review_id: UUID
    media_id: UUID
    round_id: UUID | None
    rank: str
    observer: str
    observations: list[ReviewObservation]
    image_quality: str
    comment: str
    reviewed_at: datetime


class HistoryLine(BaseModel):
    """Something that happened to it."""

    at: datetime
    what: str
    by: str
    details: dict[str, Any]


class Fault(BaseModel):
    """Why it is quarantined, or lies in the dead letters."""

    reason: str
    detail: str
    at: datetime
    dead_letter_id: UUID | None = None
    replayed_at: datetime | None = None


class WholeMedia(MediaOut):
    """Everything known of one file."""

    answer_in_force: ReviewOut | None
    """The review that counts; null where nobody looked."""
    predictions: list[PredictionOut]
    reviews: list[ReviewOut]
    faults: list[Fault]
    entries: list[UUID]
    """Of an archive: the files that came out of it."""
    frame_numbers: list[int]
    """Of a video: the frames that were looked at, each with a prediction of its own."""
    exif_data: dict[str, Any]
    history: list[HistoryLine]


class StatsOut(BaseModel):
    """`received` = `media` + `duplicate` + `quarantined` + `failed` + `pending`; an unpacked archive is its entries."""

    received: int
    media: int
    duplicate: int
    quarantined: int
    failed: int
    pending: int
    by_label: dict[str, int]
    by_route: dict[str, int]


_OF_MEDIA = (
    "captured_at",
    "captured_at_utc",
    "capture_method",
    "width",
    "height",
    "make",
    "model",
    "serial_number",
    "label",
    "confidence",
    "route",
)
"""What a file has only once it is media."""


def media_out(file: KnownFile) -> MediaOut:
    """As a list shows it."""
    return MediaOut(**_common(file))


def _common(file: KnownFile) -> dict[str, Any]:
    upload, media, answer = file.upload, file.media, file.answer or {}
    return {
        **{name: None if media is None else getattr(media, name) for name in _OF_MEDIA},
        "media_id": upload.media_id,
        "project": upload.project_id,
        "deployment": upload.deployment_id,
        "name": upload.original_name if media is None else media.name,
        "original_name": upload.original_name,
        "original_path": upload.original_path,
        "sha256": upload.sha256,
        "bytes": upload.bytes,
        "state": upload.state,
        "duplicate_of": upload.duplicate_of,
        "received_at": upload.received_at,
        "flags": [] if media is None else [*media.flags, *media.time_flags],
        "release": None if media is None else media.release_id,
        "private": media is not None and media.private,
        "observations": answer.get("observations", []),
        "detections": answer.get("detections", []),
    }


def whole_media(whole: WholeFile) -> WholeMedia:
    """As its own page shows it."""
    best = review_in_force(whole.reviews)
    faults = [dead_letter_fault(row) for row in whole.dead_letters]
    if whole.quarantine is not None:
        held = whole.quarantine
        faults.insert(0, Fault(reason=held.reason, detail=held.detail, at=held.quarantined_at))
    return WholeMedia(
        **_common(whole.file),
        answer_in_force=None if best is None else review_out(best),
        predictions=[_prediction_out(row) for row in whole.predictions],
        reviews=[review_out(row) for row in whole.reviews],
        faults=faults,
        entries=list(whole.entries),
        frame_numbers=[] if whole.file.media is None else whole.file.media.frame_numbers,
        exif_data={} if whole.file.media is None else whole.file.media.exif_data,
        history=[_line(row) for row in whole.history],
    )


def review_out(row: Review) -> ReviewOut:
    """As the API tells it."""
    return ReviewOut.model_validate(row, from_attributes=True)


def dead_letter_fault(row: DeadLetterRow) -> Fault:
    """A dead letter as a media's fault."""
    return Fault(
        reason="dead_letter",
        detail=f"{row.queue}: {row.reason}",
        at=row.died_at,
        dead_letter_id=row.dead_letter_id,
        replayed_at=row.replayed_at,
    )


def stats_out(stats: Stats) -> StatsOut:
    """As the API tells it."""
    return StatsOut(
        received=stats.received,
        **{state.value: count for state, count in stats.states.items()},
        by_label=stats.by_label,
        by_route=stats.by_route,
    )


def _prediction_out(row: PredictionRow) -> PredictionOut:
    return PredictionOut(
        release=row.release_id,
        frame_number=None if row.frame_number == NO_FRAME else row.frame_number,
        **{name: getattr(row, name) for name in PredictionOut.model_fields if name not in ("release", "frame_number")},
    )


def _line(row: MediaHistory) -> HistoryLine:
    return HistoryLine(at=row.at, what=row.what, by=row.by, details=row.details)
