"""Network architectures by preset, as ultralytics YAML dictionaries that a release carries beside its weights.

An architecture is data: with it and a ``.safetensors`` file the network is rebuilt without unpickling anything.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from varanger.trainer.training.offline import prepare_ultralytics

#: Layers 0-9 are the backbone in every P5 network of the YOLOv8 family.
BACKBONE_LAYERS = 10


@dataclass(frozen=True, slots=True)
class Preset:
    """One row of the architecture table.

    Attributes:
        depth: multiplier of the repeats of each block.
        width: multiplier of the channels of each layer.
        max_channels: cap on channels before the width multiplier.
        box_bins: bins of the distribution each box side is read from (``reg_max``).
    """

    depth: float
    width: float
    max_channels: int
    box_bins: int = 16


PRESETS: dict[str, Preset] = {
    # Narrow enough that four networks, each as ONNX and as safetensors, stay far below 20 MB. Half the bins: at 320 px
    # a box side of 7 strides of 32 px from its centre already spans the image.
    "demo": Preset(depth=0.33, width=0.125, max_channels=512, box_bins=8),
    "yolov8n": Preset(depth=0.33, width=0.25, max_channels=1024),
    "yolov8s": Preset(depth=0.33, width=0.50, max_channels=1024),
    "yolov8m": Preset(depth=0.67, width=0.75, max_channels=768),
}


def detector_architecture(preset: str, classes: int) -> dict[str, Any]:
    """Describe a YOLOv8 detector for a number of classes.

    Args:
        preset: a key of :data:`PRESETS`.
        classes: number of classes its head tells apart.

    Returns:
        an ultralytics model dictionary (JSON- and YAML-safe).

    Raises:
        ValueError: the preset is unknown.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; known are {', '.join(sorted(PRESETS))}")
    row = PRESETS[preset]
    return {
        "nc": classes,
        "reg_max": row.box_bins,
        "scales": {"n": [row.depth, row.width, row.max_channels]},
        "scale": "n",
        "backbone": [
            [-1, 1, "Conv", [64, 3, 2]],
            [-1, 1, "Conv", [128, 3, 2]],
            [-1, 3, "C2f", [128, True]],
            [-1, 1, "Conv", [256, 3, 2]],
            [-1, 6, "C2f", [256, True]],
            [-1, 1, "Conv", [512, 3, 2]],
            [-1, 6, "C2f", [512, True]],
            [-1, 1, "Conv", [1024, 3, 2]],
            [-1, 3, "C2f", [1024, True]],
            [-1, 1, "SPPF", [1024, 5]],
        ],
        "head": [
            [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
            [[-1, 6], 1, "Concat", [1]],
            [-1, 3, "C2f", [512]],
            [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
            [[-1, 4], 1, "Concat", [1]],
            [-1, 3, "C2f", [256]],
            [-1, 1, "Conv", [256, 3, 2]],
            [[-1, 12], 1, "Concat", [1]],
            [-1, 3, "C2f", [512]],
            [-1, 1, "Conv", [512, 3, 2]],
            [[-1, 9], 1, "Concat", [1]],
            [-1, 3, "C2f", [1024]],
            [[15, 18, 21], 1, "Detect", ["nc"]],
        ],
    }


def build_detector(architecture: dict[str, Any]) -> nn.Module:
    """Make the network an architecture describes, with random weights.

    Args:
        architecture: as :func:`detector_architecture` gives it.

    Returns:
        an ultralytics ``DetectionModel`` taking float [N, 3, S, S] in 0-1.
    """
    prepare_ultralytics()
    tasks: Any = importlib.import_module("ultralytics.nn.tasks")
    network: nn.Module = tasks.DetectionModel({**architecture}, ch=3, nc=architecture["nc"], verbose=False)
    return network


def backbone_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of every tensor of the backbone, batch-norm statistics included."""
    prefixes = tuple(f"model.{layer}." for layer in range(BACKBONE_LAYERS))
    return {name: value.clone() for name, value in network.state_dict().items() if name.startswith(prefixes)}


def expert_from_global(
    architecture: dict[str, Any], global_state: dict[str, torch.Tensor], class_rows: list[int]
) -> nn.Module:
    """Start an expert from the global network: every weight, and of the class outputs its own species' rows.

    Args:
        architecture: the expert's; ``nc`` equals ``len(class_rows)``.
        global_state: the global network's state.
        class_rows: for each class of the expert its index among the global classes.

    Returns:
        the expert's network. Where another layer's shape depends on the number of classes, it starts at random.
    """
    expert = build_detector(architecture)
    target = expert.state_dict()
    for name, own in target.items():
        source = global_state[name]
        if own.shape == source.shape and not _is_class_output(name):
            target[name] = source
        elif _is_class_output(name) and own.shape[1:] == source.shape[1:]:
            target[name] = source[class_rows]
    expert.load_state_dict(target)
    return expert


def _is_class_output(name: str) -> bool:
    """Tell the last convolution of each class branch: ``model.22.cv3.<scale>.2.weight`` or ``.bias``."""
    parts = name.split(".")
    return len(parts) == 6 and parts[2] == "cv3" and parts[4] == "2"
