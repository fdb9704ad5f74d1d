"""Write a release bundle: models, weights with their architecture, manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from varanger.common.releases import ReleaseManifest, StageModel, write_manifest
from varanger.trainer.training.architecture import build_detector


@dataclass(frozen=True, slots=True)
class TrainedStage:
    """One model of a release to be."""

    stage: str
    classes: tuple[str, ...]
    model: bytes
    network: nn.Module
    architecture: dict[str, Any]
    temperature: float


def write_stage(stage: TrainedStage, folder: Path, input_size: int) -> StageModel:
    """Write a stage's two files, each named by its sha256.

    The architecture travels in the weights file's own metadata: its hash covers both, and no pickle is needed to go
    on from here.
    """
    weights = save(
        {name: value.contiguous() for name, value in stage.network.state_dict().items()},
        metadata={"architecture": json.dumps(stage.architecture, sort_keys=True)},
    )
    model_sha256, weights_sha256 = (hashlib.sha256(data).hexdigest() for data in (stage.model, weights))
    for place, data in (
        (f"models/{model_sha256}.onnx", stage.model),
        (f"weights/{weights_sha256}.safetensors", weights),
    ):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(data)
    return StageModel(
        sha256=model_sha256,
        bytes=len(stage.model),
        classes=stage.classes,
        input_size=input_size,
        temperature=round(stage.temperature, 4),
        weights_sha256=weights_sha256,
    )


def write_release(manifest: ReleaseManifest, folder: Path) -> str:
    """Write the manifest, last: a folder with one is complete. Returns the release id."""
    return write_manifest(manifest, folder)


def load_weights(file: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a network from a weights file.

    Returns:
        the network in evaluation mode and its architecture.

    Raises:
        ValueError: the file does not say its architecture.
    """
    state: dict[str, torch.Tensor] = {}
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata() or {}
        if "architecture" not in metadata:
            raise ValueError(f"{file.name} does not say what network its weights are of")
        for name in opened.keys():  # noqa: SIM118  (safetensors' handle is no dictionary)
            state[name] = opened.get_tensor(name)
    architecture: dict[str, Any] = json.loads(metadata["architecture"])
    network = build_detector(architecture)
    network.load_state_dict(state)
    return network.eval(), architecture
