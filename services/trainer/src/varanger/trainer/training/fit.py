"""Train one detector with ultralytics, from the weights it is given, and hand back float32 weights."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from varanger.trainer.training.architecture import BACKBONE_LAYERS, backbone_state
from varanger.trainer.training.offline import prepare_ultralytics

OnEpoch = Callable[[int, int, float], None]
"""Called with epoch (from 1), epochs, and the epoch's loss."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How one model is trained.

    Attributes:
        epochs: passes over the data; only a first guess where ``minutes`` is given.
        minutes: wall clock to fill, or None.
        side: square input side, pixels.
        freeze_backbone: leave layers 0-9 and their batch-norm statistics as they are, bit for bit.
    """

    epochs: int
    minutes: float | None
    side: int
    batch: int
    learning_rate: float
    freeze_backbone: bool
    seed: int
    device: str


@dataclass(frozen=True, slots=True)
class FitResult:
    """A trained network and how far it got."""

    network: nn.Module
    epochs: int


def fit_detector(
    network: nn.Module, dataset: Path, folder: Path, settings: FitSettings, on_epoch: OnEpoch
) -> FitResult:
    """Train a network on a staged dataset.

    Nothing is validated or saved on the way: the exported model is measured afterwards, and no pickle is ever written.

    Args:
        network: where training starts; its number of classes equals the dataset's.
        dataset: as ``write_model_dataset`` gives it.
        folder: for ultralytics' own logs.
        settings: how to train.
        on_epoch: told after each epoch.

    Returns:
        the network with its averaged weights, on the CPU, in evaluation mode.

    Raises:
        RuntimeError: the frozen backbone changed.
    """
    prepare_ultralytics()
    detect: Any = importlib.import_module("ultralytics.models.yolo.detect")
    frozen = backbone_state(network) if settings.freeze_backbone else {}
    trainer: Any = detect.DetectionTrainer(overrides=_overrides(dataset, folder, settings))
    trainer.model = network
    done: list[int] = []

    def after_epoch(running: Any) -> None:
        done.append(running.epoch)
        losses = running.tloss.values() if isinstance(running.tloss, dict) else [running.tloss]
        on_epoch(running.epoch + 1, running.epochs, float(sum(float(value) for value in losses)))

    trainer.add_callback("on_train_epoch_end", after_epoch)
    # ultralytics validates the last epoch and pickles checkpoints in half precision; neither is wanted here.
    trainer.validate = lambda: ({}, 0.0)
    trainer.save_model = lambda: False
    trainer.final_eval = lambda: None
    trainer.train()

    for name, value in trainer.model.state_dict().items():
        if name in frozen and not torch.equal(value.cpu(), frozen[name]):
            raise RuntimeError(f"the frozen backbone changed at {name}")
    state = {name: value.detach().cpu().clone() for name, value in trainer.ema.ema.state_dict().items()}
    # Averaging equal numbers rounds; the shared backbone is to be shared bit for bit.
    state.update(frozen)
    trained = network.to("cpu").float().eval()
    trained.load_state_dict(state)
    return FitResult(trained, len(done))


def _overrides(dataset: Path, folder: Path, settings: FitSettings) -> dict[str, Any]:
    closing = max(1, settings.epochs // 5)
    overrides: dict[str, Any] = {
        "model": "network.yaml",
        "data": str(dataset),
        "epochs": settings.epochs,
        "imgsz": settings.side,
        "batch": settings.batch,
        "nbs": settings.batch,
        "optimizer": "AdamW",
        "lr0": settings.learning_rate,
        "cos_lr": True,
        "warmup_epochs": 1.0,
        "close_mosaic": closing,
        # Coat colour tells species apart: shift brightness, hardly hue.
        "hsv_h": 0.005,
        "hsv_s": 0.3,
        "hsv_v": 0.4,
        "patience": 0,
        "cache": "ram",
        "workers": 0,
        "amp": False,
        "val": False,
        "plots": False,
        "verbose": False,
        "save": False,
        "seed": settings.seed,
        "deterministic": True,
        "device": settings.device,
        "project": str(folder.resolve()),
        "name": "ultralytics",
        "exist_ok": True,
    }
    if settings.freeze_backbone:
        overrides["freeze"] = BACKBONE_LAYERS
    if settings.minutes is not None:
        overrides["time"] = settings.minutes / 60
    return overrides
