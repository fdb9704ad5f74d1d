"""`TrainingBackend`: where a training run's work happens: a local subprocess, or a cluster's job."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

OnProgress = Callable[[float, str], None]
"""Called with the share done (0-1) and one line of text."""


@dataclass(frozen=True)
class TrainingResult:
    """A finished run."""

    bundle: Path
    """Folder holding the release bundle: `manifest.json`, `models/`, `weights/`."""


class TrainingFailed(Exception):
    """The run ended without a release; the text is its last words."""


class TrainingBackend(Protocol):
    """Runs one specification to its end."""

    async def run(self, run_id: UUID, spec: dict[str, Any], folder: Path, on_progress: OnProgress) -> TrainingResult:
        """Work in `folder` until a bundle is complete. Cancelling the task ends the work itself.

        Raises:
            TrainingFailed: it ended badly, with the last lines it said.
        """
