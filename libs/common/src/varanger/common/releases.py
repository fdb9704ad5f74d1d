"""A release: an immutable, hashed bundle that answers. Its manifest, and how it is named, checked and laid out.

A bundle is a folder, or a prefix `releases/<release_id>/` of the object store:

    manifest.json            canonical JSON of `ReleaseManifest`; its sha256 is the release's id
    models/<sha256>.onnx     model files by the model contract (docs/decisions/0010)
    weights/<sha256>.…       what training needs to go on from here; not needed to answer
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from varanger.common.errors import ReleaseInvalid
from varanger.common.words import Confidence, Frozen, ReleaseId, Sha256

GLOBAL = "global"
CLASSIFIER = "classifier"
MANIFEST = "manifest.json"


def expert_stage(group: str) -> str:
    """The stage name of a group's expert, as it stands in detections and scores."""
    return f"expert:{group}"


class StageModel(Frozen):
    """One model of a release."""

    sha256: Sha256
    bytes: int
    classes: tuple[str, ...]
    """In the order of the model's class indices."""
    input_size: int = Field(ge=32, multiple_of=32)
    temperature: float = Field(default=1.0, gt=0)
    """Calibration: confidence = sigmoid(logit(score) / temperature); for a classifier, softmax(log p / temperature)."""
    weights_sha256: Sha256 | None = None

    @property
    def path(self) -> str:
        """Inside the bundle."""
        return f"models/{self.sha256}.onnx"


class RoutingRule(Frozen):
    """How global and experts make one answer (docs/decisions/0009). The defaults are the paper's."""

    groups: dict[str, str] = Field(default_factory=dict)
    """Species -> group. A class of the global model that stands in no group (people, vehicles) is never routed."""
    detection_floor: Confidence = 0.25
    """Calibrated confidence from which a box counts as seen."""
    background_threshold: Confidence | None = None
    """What an expert must reach to overrule a blank global answer; None: the detection floor (the paper's)."""
    expert_silent: Literal["global", "final", "all_experts"] = "global"
    """When the routed expert sees nothing: keep the global answer (flagged), call it blank, or ask all experts."""
    match_iou: Confidence = 0.5
    """Boxes of two stages show the same animal from this IoU on."""
    blank_classes: tuple[str, ...] = ("empty", "blank")
    """A classifier's names for nothing there."""


class ReleaseManifest(Frozen):
    """What a release is. Everything here goes into its id, so nothing here may change later."""

    format: Literal["varanger-release/1"] = "varanger-release/1"
    name: str
    kind: Literal["two_stage", "classifier"]
    description: str
    licence: str
    """SPDX expression of the weights."""
    stages: Annotated[dict[str, StageModel], Field(min_length=1)]
    """`global` and `expert:<group>`…; or `classifier`."""
    routing: RoutingRule = RoutingRule()
    image: Literal["view", "original"] = "view"
    lineage: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    _document: dict[str, Any] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _stages_fit_the_kind(self) -> "ReleaseManifest":
        if self.kind == "classifier":
            if set(self.stages) != {CLASSIFIER}:
                raise ValueError(f"stages: a classifier release has exactly one stage, {CLASSIFIER!r}")
            return self
        if GLOBAL not in self.stages:
            raise ValueError(f"stages: a two-stage release needs a {GLOBAL!r} stage")
        for species, group in self.routing.groups.items():
            stage = self.stages.get(expert_stage(group))
            if stage is None:
                raise ValueError(f"routing.groups: {species!r} goes to {group!r}, which has no stage")
            if species not in stage.classes:
                raise ValueError(f"routing.groups: the expert {group!r} does not know {species!r}")
            if species not in self.stages[GLOBAL].classes:
                raise ValueError(f"routing.groups: the global model does not know {species!r}")
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; a changed one is another release, named by what it says now."""
        copied = super().model_copy(update=update, deep=deep)
        if update:
            copied._document = None
        return copied

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object the manifest was read from, or is written as. It names the release, so a field that a later
        version adds, with its default, renames no release that exists."""
        return self.model_dump(mode="json") if self._document is None else self._document

    @property
    def groups(self) -> tuple[str, ...]:
        """Expert groups, in a fixed order."""
        return tuple(sorted(set(self.routing.groups.values())))

    def to_canonical_json(self) -> bytes:
        """Sorted keys, no spaces, UTF-8: the bytes whose sha256 names the release."""
        return json.dumps(self.document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def release_id(self) -> ReleaseId:
        """sha256 of the canonical manifest."""
        return hashlib.sha256(self.to_canonical_json()).hexdigest()


def parse_manifest(data: bytes | dict[str, Any]) -> ReleaseManifest:
    """Read a manifest.

    Raises:
        ReleaseInvalid: with the field and what is wrong with it.
    """
    try:
        document = json.loads(data) if isinstance(data, bytes) else data
        manifest = ReleaseManifest.model_validate(document)
    except json.JSONDecodeError as error:
        raise ReleaseInvalid(f"{MANIFEST}: not JSON: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or MANIFEST
        raise ReleaseInvalid(f"{where}: {first['msg']}") from error
    manifest._document = document
    return manifest


def read_bundle(folder: Path) -> ReleaseManifest:
    """Read a bundle folder and check that every model file is there with its sha256.

    Raises:
        ReleaseInvalid: manifest or a file missing, or a file that is not the one the manifest names.
    """
    try:
        manifest = parse_manifest((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise ReleaseInvalid(f"{folder / MANIFEST}: {error.strerror}; is this a release folder?") from error
    for name, stage in manifest.stages.items():
        try:
            found = hashlib.sha256((folder / stage.path).read_bytes()).hexdigest()
        except OSError as error:
            raise ReleaseInvalid(f"stages.{name}: {stage.path}: {error.strerror}") from error
        if found != stage.sha256:
            raise ReleaseInvalid(f"stages.{name}: {stage.path} holds {found[:12]}…, not the file it is named after")
    return manifest


def write_manifest(manifest: ReleaseManifest, folder: Path) -> ReleaseId:
    """Write `manifest.json` into a bundle folder whose files are already there; the release's id."""
    (folder / MANIFEST).write_bytes(manifest.to_canonical_json())
    return manifest.release_id


def object_prefix(release_id: ReleaseId) -> str:
    """Where a release's files are in the object store, `/` at the end."""
    return f"releases/{release_id}/"
