"""Background processes known by pid files, so that a later call can see and stop exactly what was started."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Daemons this very call started: they stay as zombies until they are polled."""


class ServiceError(Exception):
    """A service cannot be had; the text is a whole sentence for the person who asked."""


class Identity(TypedDict, total=False):
    """The user a program runs as, in the words of `subprocess`."""

    user: str
    group: int
    extra_groups: list[int]


def run_as(user: str | None) -> Identity:
    """Arguments for `subprocess` that run a program as `user`; empty for the present user."""
    if user is None:
        return Identity()
    return Identity(user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[])


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None, user: str | None = None) -> str:
    """Run a command to its end and return its standard output.

    Raises:
        ServiceError: it ended with another status than 0; the text carries the end of its output.
    """
    try:
        done = subprocess.run(
            command,
            env=None if env is None else dict(env),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
            stdin=subprocess.DEVNULL,
            **run_as(user),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{command[0]} could not be run: {error}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise ServiceError(f"`{' '.join(command)}` failed with status {done.returncode}:\n{tail}")
    return done.stdout


def start_daemon(
    name: str,
    command: Sequence[str],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
) -> None:
    """Start a program in a session of its own; its output goes to `<folder>/<name>.log`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=None if env is None else dict(env),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **run_as(user),
        )
    _children[process.pid] = process
    # A pid alone may be given to a stranger after a reboot; together with its start time it is unique.
    _pid_file(folder, name).write_text(f"{process.pid} {_started_at(process.pid)}\n")


def is_running(name: str, folder: Path) -> bool:
    """Whether the process that `start_daemon` left in this folder still lives."""
    return _living_pid(name, folder) is not None


def stop_daemon(name: str, folder: Path, *, with_signal: int = signal.SIGTERM, patience: float = 20.0) -> bool:
    """Ask the process to end, then make its whole session end; True when there was one."""
    pid = _living_pid(name, folder)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, with_signal)
        wait_until(lambda: not is_running(name, folder), patience)
    left_behind = _session(name, folder)
    for member in left_behind:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(member, signal.SIGKILL)
    wait_until(lambda: not _session(name, folder), 5)
    _pid_file(folder, name).unlink(missing_ok=True)
    return pid is not None or bool(left_behind)


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.2) -> bool:
    """Ask again and again until the condition holds; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def wait_until_it_answers(name: str, folder: Path, reason: Callable[[], str | None], seconds: float) -> None:
    """Wait for a started daemon's first good answer.

    Raises:
        ServiceError: it ended, or did not answer in time; the text carries the end of its log.
    """
    wait_until(lambda: reason() is None or not is_running(name, folder), seconds)
    told = reason()
    if told is None:
        return
    how = "does not answer" if is_running(name, folder) else "ended at once"
    raise ServiceError(f"{name} was started and {how} ({told}); its log ends:\n{log_tail(folder / f'{name}.log')}")


def log_tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log; empty when there is none."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def running_in(folder: Path) -> Iterator[str]:
    """Names of the daemons in this folder that live."""
    for pid_file in sorted(folder.glob("*.pid")):
        if is_running(pid_file.stem, folder):
            yield pid_file.stem


def _pid_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.pid"


def _living_pid(name: str, folder: Path) -> int | None:
    try:
        pid, started_at = _pid_file(folder, name).read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if started_at == _started_at(int(pid)) != "0" else None


def _session(name: str, folder: Path) -> list[int]:
    """The living processes of the daemon's session: itself, and children that outlived a kill -9 of it."""
    try:
        leader, started_at = (int(word) for word in _pid_file(folder, name).read_text().split())
    except (OSError, ValueError):
        return []
    members = []
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields and int(fields[3]) == leader and int(fields[19]) >= started_at and fields[0] not in "ZX":
            members.append(int(entry.name))
    return members


def _started_at(pid: int) -> str:
    """Start time in clock ticks since boot (proc(5), field 22 of stat); "0" for a process that has ended."""
    if pid in _children and _children[pid].poll() is not None:
        del _children[pid]
    fields = _stat(pid)
    return "0" if not fields or fields[0] in "ZX" else fields[19]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third (state) on; empty for no such process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []
