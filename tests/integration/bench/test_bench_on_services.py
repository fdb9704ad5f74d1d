"""Every benchmark that needs real services runs on them, and leaves no database behind."""

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

BENCH = Path(__file__).resolve().parents[3] / "bench"
QUICK = {
    "bus_bench.py": ["bus port, publish", "bus port, consume"],
    "recorder_bench.py --on postgresql": ["recorder on postgresql"],
    "pipeline_bench.py": ["pipeline, embedded", "pipeline, distributed"],
    "gateway_upload_bench.py": ["gateway upload by PUT", "gateway upload by form", "gateway memory"],
    "cpu_bench.py --mode distributed --release stand-in --predictor fixed://": [
        f"CPU of {part}, distributed" for part in ("gateway", "relay", "recorder", "ingest", "inference", "all")
    ],
}


@pytest.mark.parametrize("command", QUICK)
def test_runs_quickly_and_reports(command: str, postgres_admin_url: str) -> None:
    script, *words = command.split()
    begun = subprocess.Popen(
        [sys.executable, BENCH / script, *words, "--quick"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    output, errors = begun.communicate(timeout=280)
    assert begun.returncode == 0, errors
    rows = json.loads(output.splitlines()[-1])
    for begins in QUICK[command]:
        assert any(row["what"].startswith(begins) for row in rows)
    with psycopg.connect(postgres_admin_url) as connection:
        left = connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s", [f"varanger-bench-{begun.pid}-%"]
        )
        assert left.fetchall() == []
