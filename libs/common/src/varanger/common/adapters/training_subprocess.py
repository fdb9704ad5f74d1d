"""`TrainingBackend` as a local subprocess, so that a run's memory, crash or CUDA fault is the run's own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from varanger.common.ports.training import OnProgress, TrainingFailed, TrainingResult
from varanger.common.releases import MANIFEST

TRAINER_COMMAND = (sys.executable, "-m", "varanger.trainer.training")
"""Takes a specification file and the bundle's folder; says its progress as JSON lines on standard output."""

_LAST_WORDS = 5
_PATIENCE_S = 10.0


class SubprocessTraining:
    """Runs one command per run, in a process group of its own."""

    def __init__(self, command: Sequence[str] = TRAINER_COMMAND) -> None:
        self._command = tuple(command)

    async def run(self, run_id: UUID, spec: dict[str, Any], folder: Path, on_progress: OnProgress) -> TrainingResult:
        """Run to the end; see the port. `folder` gets `spec.json`, `training.log` and `bundle/`."""
        specification, log, bundle = folder / "spec.json", folder / "training.log", folder / "bundle"
        await asyncio.to_thread(_write, specification, spec)
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(specification),
                str(bundle),
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, "VARANGER_TRAINING_RUN": str(run_id)},
            )
            try:
                await _follow(process, on_progress)
                code = await process.wait()
            finally:
                await _end(process)
        if code != 0 or not (bundle / MANIFEST).exists():
            raise TrainingFailed(f"exit status {code}: {_last_words(log)}")
        return TrainingResult(bundle)


def _write(file: Path, spec: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(spec))


async def _follow(process: asyncio.subprocess.Process, on_progress: OnProgress) -> None:
    if process.stdout is None:
        raise RuntimeError("the subprocess was started without a pipe")
    async for line in process.stdout:
        try:
            report = json.loads(line)
            share, text = float(report["share"]), str(report["text"])
        except (ValueError, KeyError, TypeError):
            continue  # not one of ours: a library's own words
        on_progress(share, text)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing running: ask the whole group, then insist."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await process.wait()
        except TimeoutError:
            continue
    await process.wait()


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-_LAST_WORDS:])[-2000:] or "it said nothing"
