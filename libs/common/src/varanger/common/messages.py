"""Every message that travels between Varanger's processes. docs/dataflow.md says who sends and who takes each.

Facts say what happened: recorded in any order, any number of times. Commands ask for work and are written only
by the outbox, in the transaction that decides them. References only, never bytes. Optional fields may be added and
unknown ones are ignored; a new meaning is a `v2`.
"""

import json
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import Field, SerializeAsAny, ValidationError

from varanger.common.clock import CameraTime, UtcTime, now
from varanger.common.errors import BadMessage
from varanger.common.ids import new_id
from varanger.common.words import (
    CaptureMethod,
    DeploymentId,
    DeploymentSnapshot,
    Frozen,
    Lane,
    Prediction,
    ProjectId,
    Purpose,
    ReleaseId,
    Sha256,
)


class Message(Frozen):
    """The payload of one message; `TYPE` is its routing key's first part."""

    TYPE: ClassVar[str]


class Mend(Frozen):
    """What a person said of a quarantined file when sending it back to ingest."""

    captured_at: CameraTime | None = None
    """The camera's own time, where the file does not say it or says it wrong."""
    accept_as_is: bool = False
    """Take it although its name says another type than its bytes."""


class MediaUploaded(Message):
    """Fact (api): the bytes are durable under `incoming_key` and the upload row is committed."""

    TYPE: ClassVar[str] = "media.uploaded.v1"
    media_id: UUID
    deployment: DeploymentSnapshot
    incoming_key: str
    sha256: Sha256
    bytes: int
    original_name: str
    original_path: str | None = None
    uploaded_at: UtcTime
    archive_id: UUID | None = None
    """The zip it came out of: an archive inside an archive is not opened."""
    mend: Mend | None = None
    intake_number: int = Field(default=1, ge=1)
    """How often it was sent to ingest: raised by a release from quarantine."""


class MediaMetadata(Frozen):
    """What the file itself says. Absent means the file does not say, never a guess."""

    captured_at: CameraTime | None = None
    """The camera's own naive time, to the second."""
    sub_seconds: float | None = Field(default=None, ge=0, lt=1)
    """What follows the second, as a share of it."""
    utc_offset: str | None = None
    """`+HH:MM`, where the file says one."""
    make: str | None = None
    model: str | None = None
    serial_number: str | None = None
    user_label: str | None = None
    """What somebody wrote into the camera, often the site's name."""
    capture_method: CaptureMethod | None = None
    sequence_number: int | None = None
    """n of "n of m" in one trigger burst, as the file says; Reconyx writes 0 of 0 for a time-lapse image."""
    sequence_length: int | None = None
    event_number: int | None = None
    """The camera's own count of triggers; starts again at a restart."""
    temperature_c: float | None = None
    moon_phase: int | None = None
    """0 new … 4 full … 7 old crescent, as Reconyx counts."""
    battery_v: float | None = None
    infrared: bool | None = None
    """Whether the infrared flash was on."""
    exposure_time_s: float | None = None
    f_number: float | None = None
    iso: int | None = None
    latitude: float | None = Field(default=None, ge=-90, le=90)
    """Decimal degrees, north positive; of the camera's own GPS."""
    longitude: float | None = Field(default=None, ge=-180, le=180)
    """Decimal degrees, east positive."""
    exif_data: dict[str, Any] = Field(default_factory=dict)
    """Every tag worth keeping, named as ExifTool's family 1 does."""
    reader: str = ""
    """Which reader answered, as `exiftool 12.57`, or `pillow` with what it cannot read."""


class MediaStored(Message):
    """Fact (ingest): the canonical object and the view exist; sha256 was verified on the bytes read."""

    TYPE: ClassVar[str] = "media.stored.v1"
    media_id: UUID
    deployment_id: DeploymentId
    key: str
    view_key: str
    name: str
    sha256: Sha256
    bytes: int
    media_type: str
    width: int
    height: int
    metadata: MediaMetadata
    duration_s: float | None = None
    """Of a video."""
    frame_rate: float | None = None
    """Frames per second, of a video."""
    frame_numbers: tuple[int, ...] = ()
    """The frames sampled from a video, from 0: each has its view (`frame_view_key`) and gets its own answer."""
    flags: tuple[str, ...] = ()
    """`no_date`, `truncated`, …: what a person may want to look at."""


class MediaQuarantined(Message):
    """Fact (ingest): the file is kept under `key`, and is not media, for `reason`."""

    TYPE: ClassVar[str] = "media.quarantined.v1"
    media_id: UUID
    deployment_id: DeploymentId
    key: str
    sha256: Sha256
    bytes: int
    reason: str
    """One of `varanger.ingest.domain.verdict.QuarantineReason`."""
    detail: str = ""
    intake_number: int = Field(default=1, ge=1)
    """Of the upload it answers."""


class UnpackedEntry(Frozen):
    """One file of an archive; its id follows from the archive's and its place, so unpacking twice makes the same."""

    media_id: UUID
    incoming_key: str
    sha256: Sha256
    bytes: int
    original_name: str
    original_path: str


class MediaUnpacked(Message):
    """Fact (ingest): every file of this archive lies under its own incoming key. From now on its entries count."""

    TYPE: ClassVar[str] = "media.unpacked.v1"
    media_id: UUID
    entries: tuple[UnpackedEntry, ...]


class ClassificationRequested(Message):
    """Command (recorder): answer this media with this release."""

    TYPE: ClassVar[str] = "classification.requested.v1"
    media_id: UUID
    release_id: ReleaseId
    purpose: Purpose
    key: str
    view_key: str
    sha256: Sha256
    frame_number: int | None = None


class MediaClassified(Message):
    """Fact (inference): the answer."""

    TYPE: ClassVar[str] = "media.classified.v1"
    media_id: UUID
    release_id: ReleaseId
    purpose: Purpose
    frame_number: int | None = None
    prediction: Prediction


class MediaFailed(Message):
    """Fact (inference): this media cannot be answered by this release, for `reason`. Success beats it."""

    TYPE: ClassVar[str] = "media.failed.v1"
    media_id: UUID
    release_id: ReleaseId
    purpose: Purpose
    frame_number: int | None = None
    reason: str


class QcRoundRequested(Message):
    """Command (api): draw this round; its design stands in the round's job row."""

    TYPE: ClassVar[str] = "qc.round.requested.v1"
    round_id: UUID


class ReviewRecorded(Message):
    """Fact (api): a person's answer was committed; qc estimates the round again."""

    TYPE: ClassVar[str] = "review.recorded.v1"
    review_id: UUID
    media_id: UUID
    round_id: UUID | None = None


class TrainingRequested(Message):
    """Command (api): run this training; its specification stands in the run's job row."""

    TYPE: ClassVar[str] = "training.requested.v1"
    run_id: UUID


class ReleaseRegistered(Message):
    """Fact (trainer, CLI): a release bundle is complete in the object store under `releases/<release_id>/`."""

    TYPE: ClassVar[str] = "release.registered.v1"
    release_id: ReleaseId
    manifest: dict[str, Any]
    run_id: UUID | None = None
    promote: bool = False
    """Ask for it to be put in force if the project has none yet."""


class ReleasePromoted(Message):
    """Fact (api): this release is in force for the project."""

    TYPE: ClassVar[str] = "release.promoted.v1"
    release_id: ReleaseId
    previous_release_id: ReleaseId | None = None


MESSAGES: tuple[type[Message], ...] = (
    MediaUploaded,
    MediaStored,
    MediaQuarantined,
    MediaUnpacked,
    ClassificationRequested,
    MediaClassified,
    MediaFailed,
    QcRoundRequested,
    ReviewRecorded,
    TrainingRequested,
    ReleaseRegistered,
    ReleasePromoted,
)
_BY_TYPE = {message.TYPE: message for message in MESSAGES}


class Envelope(Frozen):
    """What travels: who sent what, for which project, on which lane, which attempt, in which trace."""

    message_id: UUID = Field(default_factory=new_id)
    type: str
    project_id: ProjectId
    lane: Lane = Lane.LIVE
    job_id: UUID | None = None
    attempt: int = Field(default=1, ge=1)
    producer: str
    """`<service>/<version>`."""
    traceparent: str | None = None
    """W3C trace context, https://www.w3.org/TR/trace-context/"""
    occurred_at: UtcTime = Field(default_factory=now)
    payload: SerializeAsAny[Message]

    @classmethod
    def wrap(
        cls,
        payload: Message,
        *,
        project_id: str,
        producer: str,
        lane: Lane = Lane.LIVE,
        job_id: UUID | None = None,
        traceparent: str | None = None,
        message_id: UUID | None = None,
    ) -> Self:
        """An envelope for a message that starts something."""
        return cls(
            message_id=message_id or new_id(),
            type=payload.TYPE,
            project_id=project_id,
            lane=lane,
            job_id=job_id,
            producer=producer,
            traceparent=traceparent,
            payload=payload,
        )

    def answer(self, payload: Message, *, producer: str) -> "Envelope":
        """An envelope for what follows from this one: same project, lane, job, attempt and trace."""
        return Envelope(
            type=payload.TYPE,
            project_id=self.project_id,
            lane=self.lane,
            job_id=self.job_id,
            attempt=self.attempt,
            producer=producer,
            traceparent=self.traceparent,
            payload=payload,
        )

    @property
    def routing_key(self) -> str:
        """`<type>.<lane>`, as bound in `topology.py`."""
        return f"{self.type}.{self.lane}"

    def to_body(self) -> bytes:
        """JSON, UTF-8."""
        return self.model_dump_json().encode()

    @classmethod
    def from_body(cls, body: bytes) -> "Envelope":
        """Read an envelope and its payload by type.

        Raises:
            BadMessage: not JSON, unknown type, or a field that does not fit; the text names the field.
        """
        try:
            head = _EnvelopeHead.model_validate_json(body)
        except ValidationError as error:
            raise BadMessage(_first_fault(error)) from error
        kind = _BY_TYPE.get(head.type)
        if kind is None:
            raise BadMessage(f"type: no message is called {head.type!r}")
        try:
            payload = kind.model_validate_json(json.dumps(head.payload))
        except ValidationError as error:
            raise BadMessage(f"{head.type}: payload.{_first_fault(error)}") from error
        return cls(**{**{name: getattr(head, name) for name in _HEAD_FIELDS}, "payload": payload})


class _EnvelopeHead(Frozen):
    message_id: UUID
    type: str
    project_id: ProjectId
    lane: Lane = Lane.LIVE
    job_id: UUID | None = None
    attempt: int = Field(default=1, ge=1)
    producer: str
    traceparent: str | None = None
    occurred_at: UtcTime
    payload: dict[str, Any]


_HEAD_FIELDS = tuple(name for name in _EnvelopeHead.model_fields if name != "payload")


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return f"{where}: {first['msg']}"
