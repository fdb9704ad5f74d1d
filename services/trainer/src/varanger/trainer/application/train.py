"""Train a release on this machine: what ``varanger train`` calls."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from varanger.common.adapters.training_subprocess import SubprocessTraining
from varanger.common.ids import new_id
from varanger.common.ports.training import TrainingBackend, TrainingFailed
from varanger.common.releases import ReleaseManifest, read_bundle
from varanger.trainer.domain.spec import TrainingSpec

__all__ = ["TrainingFailed", "train_release"]


def train_release(
    spec: TrainingSpec,
    out_dir: Path,
    progress: Callable[[float, str], None],
    backend: TrainingBackend | None = None,
) -> ReleaseManifest:
    """Train, measure and bundle a release; blocks until it is there.

    Args:
        spec: what to train on what.
        out_dir: becomes the bundle's folder; must not exist yet, or be empty.
        progress: told the share done (0-1) and a line of text.
        backend: where the work happens; a subprocess of this machine unless given.

    Returns:
        the release's manifest; its id is ``manifest.release_id``.

    Raises:
        FileExistsError: the folder holds something.
        TrainingFailed: with the run's last words.
    """
    if out_dir.exists() and any(out_dir.iterdir()):
        raise FileExistsError(f"{out_dir} is not empty")
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the finished bundle moves there in one step.
    with tempfile.TemporaryDirectory(prefix=f".{out_dir.name}-", dir=out_dir.parent) as folder:
        work = (backend or SubprocessTraining()).run(new_id(), spec.model_dump(mode="json"), Path(folder), progress)
        bundle = asyncio.run(work).bundle
        manifest = read_bundle(bundle)
        if out_dir.exists():
            out_dir.rmdir()
        bundle.rename(out_dir)
    return manifest
