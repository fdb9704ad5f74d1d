"""A release whose models are stand-ins: right in form, for the predictor `fixed://`, which reads no model file."""

import hashlib
from pathlib import Path

from varanger.common.releases import GLOBAL, ReleaseManifest, RoutingRule, StageModel, expert_stage, write_manifest
from varanger.fieldsim import CLASSES, EXPERT_GROUPS


def stand_in_bundle(folder: Path) -> Path:
    """Write a two-stage bundle of the simulated species; the folder."""
    (folder / "models").mkdir(parents=True)
    stages = {GLOBAL: _stage(folder, GLOBAL, CLASSES)}
    for group, species in EXPERT_GROUPS.items():
        stages[expert_stage(group)] = _stage(folder, group, species)
    manifest = ReleaseManifest(
        name="stand-in",
        kind="two_stage",
        description="no models: for measuring what is around models",
        licence="Apache-2.0",
        stages=stages,
        routing=RoutingRule(groups={one: group for group, species in EXPERT_GROUPS.items() for one in species}),
    )
    write_manifest(manifest, folder)
    return folder


def _stage(folder: Path, name: str, classes: tuple[str, ...]) -> StageModel:
    data = f"stand-in for the model {name}".encode()
    stage = StageModel(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), classes=classes, input_size=320)
    (folder / stage.path).write_bytes(data)
    return stage
