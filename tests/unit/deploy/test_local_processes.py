import os
import signal
import sys
from pathlib import Path

import pytest
from local_services.processes import (
    ServiceError,
    is_running,
    run,
    running_in,
    start_daemon,
    stop_daemon,
    wait_until,
    wait_until_it_answers,
)

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]
PARENT_OF_SLEEP = [
    sys.executable,
    "-c",
    "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']).pid,"
    " flush=True); import time; time.sleep(300)",
]


def pid_of(name: str, folder: Path) -> int:
    return int((folder / f"{name}.pid").read_text().split()[0])


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_daemon_is_seen_and_stopped(tmp_path: Path):
    start_daemon("server", SLEEP, tmp_path)
    assert is_running("server", tmp_path)
    assert list(running_in(tmp_path)) == ["server"]
    pid = pid_of("server", tmp_path)
    assert stop_daemon("server", tmp_path) is True
    assert not lives(pid)
    assert not is_running("server", tmp_path)
    assert stop_daemon("server", tmp_path) is False


def test_a_pid_that_was_given_to_another_process_is_left_alone(tmp_path: Path):
    start_daemon("stranger", SLEEP, tmp_path)
    pid = pid_of("stranger", tmp_path)
    (tmp_path / "server.pid").write_text(f"{pid} 12345678901234\n")
    assert not is_running("server", tmp_path)
    assert stop_daemon("server", tmp_path) is False
    assert lives(pid)
    stop_daemon("stranger", tmp_path)


def test_a_daemon_that_ignores_the_signal_is_ended(tmp_path: Path):
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"
    )
    start_daemon("server", [sys.executable, "-c", deaf], tmp_path)
    assert wait_until(lambda: "deaf" in (tmp_path / "server.log").read_text(), 20, every=0.02)
    pid = pid_of("server", tmp_path)
    assert stop_daemon("server", tmp_path, patience=0.1) is True
    assert not lives(pid)


def test_children_that_outlive_a_killed_daemon_are_ended_too(tmp_path: Path):
    start_daemon("server", PARENT_OF_SLEEP, tmp_path)
    log = tmp_path / "server.log"
    assert wait_until(lambda: log.read_text().endswith("\n"), 20, every=0.02)
    child = int(log.read_text())
    os.kill(pid_of("server", tmp_path), signal.SIGKILL)
    assert wait_until(lambda: not is_running("server", tmp_path), 20, every=0.02)
    assert lives(child)
    assert stop_daemon("server", tmp_path) is True
    assert not lives(child)


def test_a_daemon_that_ends_at_once_says_why(tmp_path: Path):
    start_daemon("server", [sys.executable, "-c", "print('port taken'); raise SystemExit(3)"], tmp_path)
    with pytest.raises(ServiceError, match=r"(?s)ended at once \(nobody there\).*port taken"):
        wait_until_it_answers("server", tmp_path, lambda: "nobody there", 20)


def test_a_failed_command_carries_the_end_of_its_output():
    with pytest.raises(ServiceError, match=r"(?s)status 4:\nlast words"):
        run([sys.executable, "-c", "print('last words'); raise SystemExit(4)"])


def test_a_missing_command_is_named():
    with pytest.raises(ServiceError, match="no-such-program could not be run"):
        run(["no-such-program"])
