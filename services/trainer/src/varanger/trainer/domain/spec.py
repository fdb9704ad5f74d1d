"""The training specification: everything that decides a release, as one JSON document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from varanger.common.words import PRIVATE_LABELS


class SpecInvalid(ValueError):
    """The specification cannot be followed; the text names the field."""


class _Part(BaseModel):
    """Unknown fields are refused: a misspelt one must not be ignored for an hour of training."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetSource(_Part):
    """Where the labelled images are."""

    format: Literal["coco_camera_traps", "yolo", "fieldsim"]
    url: str
    """``file:///folder``, a plain folder, or an object-store prefix, with the images and their labels."""
    annotations: str = "coco_camera_traps.json"
    """COCO Camera Traps only: the annotation file, relative to the folder."""


class SplitRule(_Part):
    """How the dataset is divided."""

    by: Literal["site", "event"] = "site"
    validation: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.2, gt=0, lt=1)
    seed: int = 0


class Effort(_Part):
    """How long to train. Epochs rule, unless a wall-clock limit is given, which then rules alone."""

    global_epochs: int = Field(default=60, ge=1)
    expert_epochs: int = Field(default=20, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    """Wall clock for all models together; the global model gets two thirds."""
    batch: int = Field(default=16, ge=2)
    learning_rate: float = Field(default=0.003, gt=0)
    expert_learning_rate: float = Field(default=0.001, gt=0)
    background_per_image: float = Field(default=1.0, ge=0)
    """An expert's background images for each image of its own species."""


class TrainingSpec(_Part):
    """A two-stage release from labelled boxes."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    dataset: DatasetSource
    groups: dict[str, tuple[str, ...]] = Field(min_length=1)
    """Expert group to its species; given by hand."""
    never_routed: tuple[str, ...] = tuple(sorted(PRIVATE_LABELS))
    split: SplitRule = SplitRule()
    preset: Literal["demo", "yolov8n", "yolov8s", "yolov8m"] = "yolov8n"
    input_size: int = Field(default=320, ge=32, multiple_of=32)
    nms_iou: float = Field(default=0.6, ge=0.3, le=0.9)
    candidate_floor: float = Field(default=0.01, ge=0, lt=1)
    """Boxes below it never leave the graph. The release's own detection floor is chosen on the validation side."""
    expected_blank_share: float = Field(default=0.7, gt=0, lt=1)
    """Share of blanks where the release will be used; its thresholds are chosen for that."""
    effort: Effort = Effort()
    seed: int = 0
    threads: int = Field(default=1, ge=1)
    device: str = "cpu"
    licence: str = "AGPL-3.0-or-later"
    """SPDX, of the weights: ultralytics' licence covers what it trains."""
    lineage: dict[str, Any] = Field(default_factory=dict)
    """What the dataset was made from (a simulated season's plan and seed, a catalog query)."""


def parse_spec(data: bytes | dict[str, Any]) -> TrainingSpec:
    """Read a specification.

    Raises:
        SpecInvalid: the first field that does not fit, and why.
    """
    try:
        if isinstance(data, bytes):
            return TrainingSpec.model_validate_json(data)
        return TrainingSpec.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "specification"
        raise SpecInvalid(f"{where}: {first['msg']}") from error
