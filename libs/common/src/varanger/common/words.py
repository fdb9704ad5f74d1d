"""The words of Varanger as types: Camtrap DP 1.0 terms, and our own (docs/glossary.md)."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ProjectId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
DeploymentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ReleaseId = Sha256
"""A release is named by the sha256 of its canonical manifest, which holds the sha256 of each of its files."""

Confidence = Annotated[float, Field(ge=0.0, le=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

BLANK = "blank"
BAD_QUALITY = "bad_quality"
PERSON = "person"
VEHICLE = "vehicle"
PRIVATE_LABELS = frozenset({PERSON, VEHICLE})
"""A media with one of these is `private` from the first moment, and they are never routed to an expert."""

TRUNCATED = "truncated"
"""Flag of a media whose file ends before its image does: kept out of QC rounds and training."""


class Frozen(BaseModel):
    """A value: compared by content, never changed. Unknown fields of a later minor version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CaptureMethod(StrEnum):
    """Camtrap DP `captureMethod`."""

    ACTIVITY_DETECTION = "activityDetection"
    TIME_LAPSE = "timeLapse"


class Lane(StrEnum):
    """Live goes before bulk in every queue; bulk may be refused while it is too far behind, live never."""

    LIVE = "live"
    BULK = "bulk"


class MediaState(StrEnum):
    """Where an accepted file is. It is in exactly one of these; `received` is their sum (promise 2)."""

    PENDING = "pending"
    MEDIA = "media"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    UNPACKED = "unpacked"
    """An archive whose entries are files of their own now: they are received, it is not counted any more."""


class Purpose(StrEnum):
    """Why a classification was asked for."""

    INTAKE = "intake"
    RECLASSIFY = "reclassify"
    SHADOW = "shadow"


class JobKind(StrEnum):
    """Everything long-running that a person asked for shares one table and one life."""

    UPLOAD_BATCH = "upload_batch"
    RECLASSIFY = "reclassify"
    EXPORT = "export"
    IMPORT = "import"
    TRAINING_RUN = "training_run"
    QC_ROUND = "qc_round"


class JobState(StrEnum):
    """A job always ends: done, failed or cancelled."""

    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Certainty(StrEnum):
    """How sure a reviewer was. `difficult` answers are left out of training (Mulero-Pázmány 2025)."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    DIFFICULT = "difficult"


class ImageQuality(StrEnum):
    """`bad_quality` means *not observed*, never *absent* (Böhner 2023)."""

    GOOD = "good"
    BAD_QUALITY = "bad_quality"


BoundingBox = tuple[Share, Share, Share, Share]
"""`(x_min, y_min, width, height)`, shares of the image's width and height, origin at the top left."""


class Detection(Frozen):
    """One box with class and score from one model stage (`global`, `expert:<group>`, `classifier`)."""

    stage: str
    label: str
    confidence: Confidence
    bbox: BoundingBox


class Observation(Frozen):
    """A taxon with a count, in one media or event."""

    taxon: str
    count: int = Field(ge=1)


class ReviewObservation(Observation):
    """An observation by a person."""

    certainty: Certainty = Certainty.CERTAIN


class Prediction(Frozen):
    """The machine's answer for one media from one release (docs/glossary.md).

    `confidence` is calibrated and always there: a blank's is 1 - the highest animal score over all stages run.
    `route` reads like `global>expert:large`, or `global>all_experts` when the global model saw nothing.
    `scores` holds the highest score per class of every stage run: `{stage: {class: score}}`.
    """

    label: str
    confidence: Confidence
    route: str
    observations: tuple[Observation, ...] = ()
    detections: tuple[Detection, ...] = ()
    scores: dict[str, dict[str, float]] = Field(default_factory=dict)
    flags: tuple[str, ...] = ()
    private: bool = False
    image_seen: Literal["view", "original"] = "view"
    models: dict[str, Sha256] = Field(default_factory=dict)
    """sha256 of the model file of every stage run (promise 5)."""
    code_version: str = ""


class DeploymentSnapshot(Frozen):
    """What ingest needs to know of a deployment, as it was when the file was accepted."""

    deployment_id: DeploymentId
    location_id: str
    camera_id: str | None = None
    camera_model: str | None = None
    camera_setup: str = "default"
