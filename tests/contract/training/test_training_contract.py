"""The local subprocess backend: progress line by line, last words of a failure, nothing left running."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from varanger.common.adapters.training_subprocess import SubprocessTraining
from varanger.common.ids import new_id
from varanger.common.ports.training import TrainingFailed

GOOD = """
import json, pathlib, sys
spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
print("a library speaks")
print(json.dumps({"share": 0.5, "text": spec["name"]}), flush=True)
bundle = pathlib.Path(sys.argv[2]); bundle.mkdir(); (bundle / "manifest.json").write_text("{}")
"""
BAD = """
import sys
sys.stderr.write("first\\nthe reason\\n"); sys.exit(2)
"""
SILENT = "pass"
SLOW = """
import json, os, time
print(json.dumps({"share": 0.1, "text": str(os.getpid())}), flush=True)
time.sleep(600)
"""


def backend(code: str) -> SubprocessTraining:
    return SubprocessTraining([sys.executable, "-c", code])


async def test_progress_and_bundle(tmp_path: Path) -> None:
    heard: list[tuple[float, str]] = []
    result = await backend(GOOD).run(new_id(), {"name": "run"}, tmp_path, lambda *said: heard.append(said))
    assert heard == [(0.5, "run")]
    assert (result.bundle / "manifest.json").exists()


@pytest.mark.parametrize(("code", "said"), [(BAD, "exit status 2: first | the reason"), (SILENT, "said nothing")])
async def test_a_failure_carries_its_last_words(code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed) as failed:
        await backend(code).run(new_id(), {}, tmp_path, lambda share, text: None)
    assert said in str(failed.value)


async def test_cancelling_ends_the_process(tmp_path: Path) -> None:
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    run = asyncio.create_task(
        backend(SLOW).run(new_id(), {}, tmp_path, lambda share, text: started.set_result(int(text)))
    )
    process = await started
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
