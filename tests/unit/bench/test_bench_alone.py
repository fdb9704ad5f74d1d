"""Every benchmark that needs no service runs on its own, and ends with one line of JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[3] / "bench"
QUICK = {
    "ingest_bench.py": ["ingest"],
    "ingest_memory_bench.py": ["memory added by ingest", "memory added by ExifTool"],
    "qc_bench.py": ["QC draw", "QC report"],
    "recorder_bench.py --on sqlite": ["recorder on sqlite"],
    "inference_bench.py --release stand-in --predictor fixed://": ["inference worker", "CPU of model global"],
}


@pytest.mark.parametrize("command", QUICK)
def test_runs_quickly_and_reports(command: str) -> None:
    script, *words = command.split()
    done = subprocess.run(
        [sys.executable, BENCH / script, *words, "--quick"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    for begins in QUICK[command]:
        assert any(row["what"].startswith(begins) for row in rows)
    for row in rows:
        assert row["repeats"] == 1
        assert row["unit"]
