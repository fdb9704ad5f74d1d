"""The catalog's tables. Each has one writing service, named in its docstring; everybody may read.

`project_id` stands in every table. Outbox, inbox and job rows belong to the service in their `owner` column: the
gateway inserts a job with the command that starts it, and from then on its owner alone changes it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from varanger.common.catalog.columns import Json, UtcDateTime
from varanger.common.clock import now
from varanger.common.ids import new_id

NO_FRAME = -1
"""`frame_number` of a prediction for a still image: part of a unique key, so never null."""


class Project(SQLModel, table=True):
    """Camtrap DP project, and its release in force. Writer: api."""

    __tablename__ = "project"

    project_id: str = Field(primary_key=True)
    title: str = ""
    release_id: str | None = None
    """The release in force; changed only by compare-and-swap, with a `promotion` row beside it."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Deployment(SQLModel, table=True):
    """Camtrap DP deployment: one camera at one location for a period. Writer: api."""

    __tablename__ = "deployment"

    project_id: str = Field(primary_key=True)
    deployment_id: str = Field(primary_key=True)
    location_id: str
    location_name: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    camera_id: str | None = None
    camera_model: str | None = None
    camera_setup: str = "default"
    habitat: str | None = None
    deployment_start: datetime | None = Field(default=None, sa_type=UtcDateTime)
    deployment_end: datetime | None = Field(default=None, sa_type=UtcDateTime)
    blind_periods: list[Any] = Field(default_factory=list, sa_type=Json)
    """`[{"start", "end", "reason"}]`, UTC: when the camera stood there but did not see."""
    time_zone: str = "Etc/UTC"
    clock_correction: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """A `ClockCorrection`; None: the camera's clock was right."""
    event_gap_s: float = 60.0
    """Images of cameras that number no triggers are one event while no gap between two of them is longer."""
    revision: int = 1
    """Raised by every change; the recorder brings the media's times and events after it."""
    applied_revision: int = 1
    """The revision that every recorded media's times and events follow."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class DeploymentHistory(SQLModel, table=True):
    """Append-only: who changed what of a deployment, written in the transaction of the change. Writer: api (gateway).

    Its media's times and events follow; they get no line each, which would be as many as there are media.
    """

    __tablename__ = "deployment_history"
    __table_args__ = (Index("deployment_history_of_deployment", "project_id", "deployment_id", "history_id"),)

    history_id: UUID = Field(default_factory=new_id, primary_key=True)
    project_id: str
    deployment_id: str
    revision: int
    """The deployment's from this change on."""
    by: str
    before: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """The changed columns alone, as JSON."""
    after: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ApiKey(SQLModel, table=True):
    """A key's hash, never the key. Writer: api (made by the CLI)."""

    __tablename__ = "api_key"

    key_id: UUID = Field(default_factory=new_id, primary_key=True)
    project_id: str
    """`*`: every project."""
    key_sha256: str = Field(unique=True)
    label: str = ""
    scopes: list[str] = Field(default_factory=list, sa_type=Json)
    requests_per_minute: int | None = None
    """None: as many as the settings allow."""
    bytes_per_hour: int | None = Field(default=None, sa_type=BigInteger)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Upload(SQLModel, table=True):
    """One accepted file and where it stands; `received` counts these rows. Writer: api (gateway, then recorder)."""

    __tablename__ = "upload"
    __table_args__ = (
        Index(
            "upload_one_per_content",
            "project_id",
            "sha256",
            unique=True,
            postgresql_where=text("duplicate_of IS NULL"),
            sqlite_where=text("duplicate_of IS NULL"),
        ),
        Index("upload_by_state", "project_id", "state"),
        Index("upload_by_progress", "state", "progress_at"),
        Index(
            "upload_duplicates",
            "duplicate_of",
            postgresql_where=text("duplicate_of IS NOT NULL"),
            sqlite_where=text("duplicate_of IS NOT NULL"),
        ),
        Index(
            "upload_to_sweep",
            "media_id",
            postgresql_where=text("swept_at IS NULL"),
            sqlite_where=text("swept_at IS NULL"),
        ),
    )

    media_id: UUID = Field(default_factory=new_id, primary_key=True)
    project_id: str
    deployment_id: str
    sha256: str
    bytes: int = Field(sa_type=BigInteger)
    original_name: str
    original_path: str | None = None
    incoming_key: str
    lane: str
    state: str
    """`MediaState`, computed by the recorder from what is known (`domain/media_state.py`)."""
    duplicate_of: UUID | None = None
    archive_id: UUID | None = Field(default=None, index=True)
    """The zip it came out of."""
    intake_number: int = 1
    """How often it was sent to ingest: raised by a release from quarantine, after which earlier verdicts are void."""
    job_id: UUID | None = None
    traceparent: str | None = None
    received_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    progress_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    """When anything last happened to it; the reconciler sends again what stands still."""
    swept_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When its incoming object was removed, after what became of it was recorded; for a duplicate that never had one,
    at once."""


class Media(SQLModel, table=True):
    """Camtrap DP media: one file that was verified, named and stored. Writer: api (recorder)."""

    __tablename__ = "media"
    __table_args__ = (
        Index("media_by_label", "project_id", "label"),
        Index("media_by_deployment", "project_id", "deployment_id", "captured_at"),
        Index("media_by_time", "project_id", "deployment_id", "captured_at_utc"),
        Index("media_of_event", "project_id", "event_id"),
    )

    media_id: UUID = Field(primary_key=True)
    project_id: str
    deployment_id: str
    key: str
    view_key: str
    name: str
    sha256: str
    bytes: int = Field(sa_type=BigInteger)
    media_type: str
    width: int
    height: int
    captured_at: datetime | None = Field(default=None, sa_type=DateTime)
    """The camera's own naive time, to the second; or what a person said it was (flag `date_by_person`)."""
    sub_seconds: float | None = None
    utc_offset: str | None = None
    clock_correction_s: float = 0.0
    """Seconds added to the camera's own time by the deployment's clock correction: their sum is the true local time."""
    captured_at_utc: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Derived: corrected, read in the deployment's zone. Changes with the deployment."""
    time_flags: list[str] = Field(default_factory=list, sa_type=Json)
    """What the deployment makes of the time: `before_deployment`, `ambiguous_local_time`, …"""
    event_id: str | None = None
    capture_method: str | None = None
    make: str | None = None
    model: str | None = None
    serial_number: str | None = None
    user_label: str | None = None
    sequence_number: int | None = None
    sequence_length: int | None = None
    event_number: int | None = None
    temperature_c: float | None = None
    moon_phase: int | None = None
    battery_v: float | None = None
    infrared: bool | None = None
    exposure_time_s: float | None = None
    f_number: float | None = None
    iso: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    duration_s: float | None = None
    frame_rate: float | None = None
    frame_numbers: list[int] = Field(default_factory=list, sa_type=Json)
    """Frames of a video that have a view and get an answer each; none for a still image."""
    exif_data: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    reader: str = ""
    flags: list[str] = Field(default_factory=list, sa_type=Json)
    private: bool = False
    label: str | None = None
    """Label, confidence, route and release of the prediction that is shown (`domain/shown_prediction.py`)."""
    confidence: float | None = None
    route: str | None = None
    release_id: str | None = None
    stored_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Event(SQLModel, table=True):
    """Camtrap DP event: the media of one trigger burst of one deployment. Writer: api (recorder)."""

    __tablename__ = "event"
    __table_args__ = (Index("event_by_deployment", "project_id", "deployment_id", "event_start"),)

    project_id: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True)
    """Follows from its members (`domain/events.py`); changes when bursts merge."""
    deployment_id: str
    event_start: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """UTC, like the end; None for a media without a time, which is an event of its own."""
    event_end: datetime | None = Field(default=None, sa_type=UtcDateTime)
    capture_method: str | None = None
    media_count: int = 0


class Quarantine(SQLModel, table=True):
    """A file that is kept, with a reason, and is not (yet) media. Writer: api (recorder)."""

    __tablename__ = "quarantine"

    media_id: UUID = Field(primary_key=True)
    project_id: str = Field(index=True)
    deployment_id: str
    key: str
    sha256: str
    bytes: int = Field(sa_type=BigInteger)
    reason: str
    detail: str = ""
    quarantined_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    mend: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """The `Mend` with which a person sent it back to ingest."""
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was sent back; None again where ingest refused it again."""


class PredictionRow(SQLModel, table=True):
    """One release's answer for one media (or frame of it), from the moment it is asked for. Writer: api (recorder).

    Success beats failure; a higher attempt beats a lower one.
    """

    __tablename__ = "prediction"
    __table_args__ = (
        Index("prediction_of_release", "project_id", "release_id", "state"),
        Index("prediction_open", "state", "progress_at"),
    )

    media_id: UUID = Field(primary_key=True)
    release_id: str = Field(primary_key=True)
    frame_number: int = Field(default=NO_FRAME, primary_key=True)
    project_id: str
    purpose: str
    state: str
    """`requested`, `classified` or `failed`."""
    lane: str
    job_id: UUID | None = None
    attempt: int = 0
    label: str | None = None
    confidence: float | None = None
    route: str | None = None
    private: bool = False
    answer: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """The whole `Prediction`."""
    reason: str | None = None
    producer: str | None = None
    requested_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    progress_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Review(SQLModel, table=True):
    """One person's answer for one media; never changed, a newer one is another row. Writer: api (gateway)."""

    __tablename__ = "review"
    __table_args__ = (Index("review_of_media", "project_id", "media_id"), Index("review_of_round", "round_id"))

    review_id: UUID = Field(default_factory=new_id, primary_key=True)
    project_id: str
    media_id: UUID
    round_id: UUID | None = None
    rank: str = "own"
    """`adjudicated` beats `own` beats `imported`; the newest of its rank is in force."""
    observer: str
    observations: list[Any] = Field(default_factory=list, sa_type=Json)
    """`ReviewObservation`s; none of them and good image quality: the reviewer saw nothing there (blank)."""
    image_quality: str = "good"
    comment: str = ""
    reviewed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class QcRound(SQLModel, table=True):
    """One QC sample: design, seed, frame, report. Writer: qc. The request stands in its job row."""

    __tablename__ = "qc_round"

    round_id: UUID = Field(primary_key=True)
    """The job's id."""
    project_id: str = Field(index=True)
    release_id: str | None = None
    design: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    frame: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """Cell sizes and what was left out of the frame, and why."""
    report: dict[str, Any] | None = Field(default=None, sa_type=Json)
    drawn_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    estimated_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class QcTask(SQLModel, table=True):
    """One drawn media of a round. Writer: qc. The machine's answer in it is never shown to the reviewer."""

    __tablename__ = "qc_task"

    round_id: UUID = Field(primary_key=True)
    media_id: UUID = Field(primary_key=True)
    project_id: str
    position: int
    """Order of review: random, so that a half-done round is still a sample."""
    camera_setup: str
    label: str
    confidence: float
    runner_up: float | None = None
    """Score of the strongest class that did not become the label."""
    samples: list[str] = Field(default_factory=list, sa_type=Json)
    """Which samples drew it: `overall`, `class:<label>`, `bin:(0.8,0.9]`."""
    inclusion_probability: float


class Release(SQLModel, table=True):
    """A release that a project may put in force. Writer: api (recorder, CLI)."""

    __tablename__ = "release"

    project_id: str = Field(primary_key=True)
    release_id: str = Field(primary_key=True)
    name: str
    kind: str
    manifest: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    run_id: UUID | None = None
    registered_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Promotion(SQLModel, table=True):
    """Append-only: what was put in force, when, instead of what. Writer: api."""

    __tablename__ = "promotion"

    promotion_id: UUID = Field(default_factory=new_id, primary_key=True)
    project_id: str = Field(index=True)
    release_id: str
    previous_release_id: str | None = None
    kind: str = "promote"
    """`promote` or `rollback`."""
    by: str = ""
    promoted_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Job(SQLModel, table=True):
    """Something long that a person asked for. It always ends. Writer: the service in `owner`."""

    __tablename__ = "job"
    __table_args__ = (Index("job_by_state", "owner", "state"),)

    job_id: UUID = Field(default_factory=new_id, primary_key=True)
    project_id: str = Field(index=True)
    kind: str
    owner: str
    state: str = "requested"
    spec: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    counts: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    progress: float = 0.0
    message: str = ""
    result: dict[str, Any] | None = Field(default=None, sa_type=Json)
    fencing_token: int = 0
    """Raised by whoever takes the lease; a write with an older token changes nothing."""
    leased_by: str | None = None
    leased_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Outbox(SQLModel, table=True):
    """A message that a committed decision owes the bus. Writer: the service in `owner`; marked by api (relay)."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "outbox_waiting",
            "lane",
            "message_id",
            postgresql_where=text("published_at IS NULL"),
            sqlite_where=text("published_at IS NULL"),
        ),
        Index("outbox_published", "published_at"),
    )

    message_id: UUID = Field(primary_key=True)
    project_id: str
    owner: str
    lane: str
    type: str
    body: bytes = Field(sa_type=LargeBinary)
    raw_queue: str | None = None
    """Straight into this queue instead of the exchange: the replay of a dead letter."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    leased_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    published_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Inbox(SQLModel, table=True):
    """A message whose effect is committed: it is applied once. Writer: the service in `owner`."""

    __tablename__ = "inbox"

    owner: str = Field(primary_key=True)
    message_id: UUID = Field(primary_key=True)
    project_id: str
    seen_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)


class PartialUpload(SQLModel, table=True):
    """A file on its way in pieces: by tus, or by presigned parts. Writer: api (gateway; the recorder tidies)."""

    __tablename__ = "partial_upload"
    __table_args__ = (Index("partial_upload_expiring", "state", "expires_at"),)

    upload_id: UUID = Field(default_factory=new_id, primary_key=True)
    project_id: str
    deployment_id: str
    kind: str
    """`tus` or `presigned`."""
    key_id: UUID | None = None
    """Whose key began it; nobody else's goes on with it."""
    original_path: str
    upload_metadata: str | None = None
    """tus: the header as the client sent it, which every HEAD tells again."""
    lane: str
    bytes: int | None = Field(default=None, sa_type=BigInteger)
    """As announced."""
    sha256: str | None = None
    """As announced; verified before it counts."""
    offset: int = Field(default=0, sa_type=BigInteger)
    parts: list[Any] = Field(default_factory=list, sa_type=Json)
    """tus: `[{"key", "offset", "bytes"}]`, the pieces in the object store; presigned: `[{"bytes"}]`, as announced."""
    store_upload_id: str | None = None
    """The object store's own id of a multipart upload."""
    state: str = "open"
    """`open`, `done` or `gone`."""
    verdict: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """What became of the finished file, told again to whoever asks again; of a refused one `{"reason"}`."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class IdempotencyKey(SQLModel, table=True):
    """A POST that a client may repeat, and what it was answered. Writer: api (gateway; tidied by the recorder)."""

    __tablename__ = "idempotency_key"

    project_id: str = "*"
    caller: str = Field(primary_key=True)
    """The API key's id: two callers may choose the same word."""
    key: str = Field(primary_key=True)
    """As the client wrote it into `Idempotency-Key`."""
    fingerprint: str | None = None
    """sha256 of what was asked."""
    status: int | None = None
    """None while it is in progress."""
    answer: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """`{"headers", "body"}`, told again to whoever asks again."""
    begun_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    """When its holder last said that it works on it; then, when it was answered."""


class DeadLetterRow(SQLModel, table=True):
    """A message nobody could handle: body, headers, reason. Writer: api (recorder)."""

    __tablename__ = "dead_letter"
    __table_args__ = (Index("dead_letter_open", "project_id", "replayed_at"),)

    dead_letter_id: UUID = Field(default_factory=new_id, primary_key=True)
    project_id: str = ""
    """Empty where the body does not say."""
    queue: str
    type: str = ""
    media_id: UUID | None = Field(default=None, index=True)
    release_id: str | None = None
    frame_number: int = NO_FRAME
    body: bytes = Field(sa_type=LargeBinary)
    headers: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    reason: str
    died_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    replayed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Lease(SQLModel, table=True):
    """Who may do a thing that only one may do at a time. Writer: the holder."""

    __tablename__ = "lease"

    name: str = Field(primary_key=True)
    project_id: str = "*"
    holder: str
    fencing_token: int = 0
    held_until: datetime = Field(sa_type=UtcDateTime)


class MediaHistory(SQLModel, table=True):
    """Append-only: what happened to a media, written in the transaction of the change. Writer: api."""

    __tablename__ = "media_history"
    __table_args__ = (Index("media_history_of_media", "media_id", "history_id"),)

    history_id: UUID = Field(default_factory=new_id, primary_key=True)
    project_id: str
    media_id: UUID
    what: str
    """`received`, `stored`, `quarantined`, `classified`, `failed`, `reviewed`, `replayed`, …"""
    by: str
    details: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
