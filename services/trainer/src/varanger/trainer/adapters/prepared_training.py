"""A `TrainingBackend` that hands out a bundle made beforehand: the port's fake, for tests and rehearsals."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

from varanger.common.ports.training import OnProgress, TrainingFailed, TrainingResult


class PreparedTraining:
    """Ends every run the same way, after an optional wait.

    Args:
        bundle: copied into each run's folder; None: every run fails.
        until: awaited before the end, so that a test can hold a run in the middle.
    """

    def __init__(self, bundle: Path | None, until: asyncio.Event | None = None) -> None:
        self._bundle, self._until = bundle, until
        self.specs: list[dict[str, Any]] = []
        self.cancelled = 0

    async def run(self, run_id: UUID, spec: dict[str, Any], folder: Path, on_progress: OnProgress) -> TrainingResult:
        """See the port."""
        self.specs.append(spec)
        on_progress(0.5, "half way")
        try:
            if self._until is not None:
                await self._until.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self._bundle is None:
            raise TrainingFailed(f"run {run_id}: there is no prepared bundle")
        await asyncio.to_thread(shutil.copytree, self._bundle, folder / "bundle")
        return TrainingResult(folder / "bundle")
