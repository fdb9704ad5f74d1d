"""The metadata reader of choice: ExifTool, kept running. Nothing else reads so many cameras' tags.

Each process answers one file at a time over its pipes (`-stay_open`, https://exiftool.org/exiftool_pod.html), so there
is one per decoding thread. A process that dies or does not answer in time is replaced; its file alone is given up.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from varanger.ingest.adapters.reconyx_notes import complete
from varanger.ingest.domain.metadata import RawTags
from varanger.ingest.ports import MetadataUnread

ANSWER_WITHIN_S = 20.0
_ARGUMENTS = ("-json", "-n", "-G1", "-e")
"""Numeric values under their family-1 group; nothing is worked out from other tags (Composite), which takes a quarter
of its time and is not kept."""
_NOTHING_BEHIND = "-fast"
"""Nothing is looked for behind an image's end. Not said of RIFF: it would hide what an AVI has behind its pictures."""

_ENDS_WITH_US = '{ cat; printf "%s\\n" -stay_open False; } | { "$0" -stay_open True -@ -; kill -9 0; }'
"""Left alone, ExifTool polls the closed pipe of a killed parent for ever. The relay before it says stop at the pipe's
end, and when it ends by itself the whole group does, so that its answer pipe closes and nobody waits for it."""


def find_exiftool() -> str | None:
    """ExifTool's path, where it is installed."""
    return shutil.which("exiftool")


class ExifToolReader:
    """A `MetadataReader` over a few ExifTool processes, started when first needed."""

    def __init__(self, executable: str, *, processes: int = 1, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        version = subprocess.run([executable, "-ver"], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - found on PATH
        self.name = f"exiftool {version.stdout.strip()}"
        self._executable = executable
        self._answer_within_s = answer_within_s
        self._idle: SimpleQueue[_Process | None] = SimpleQueue()
        self._processes = processes
        for _ in range(processes):
            self._idle.put(None)

    def read(self, path: Path) -> RawTags:
        """As the port says. Waits for a free process."""
        process = self._idle.get()
        try:
            process = process or _Process(self._executable)
            answer = process.ask(path, _arguments(path), self._answer_within_s)
        except BaseException as error:
            # Half an answer may stand in its pipe: never ask it again.
            if process is not None:
                process.kill()
            process = None
            if isinstance(error, OSError):
                raise MetadataUnread(f"ExifTool: {error}") from error
            raise
        finally:
            self._idle.put(process)
        return complete(_parse(answer), path)

    def close(self) -> None:
        """End every process; waits for those that are answering."""
        for _ in range(self._processes):
            process = self._idle.get()
            if process is not None:
                process.kill()


def _arguments(path: Path) -> Sequence[str]:
    with path.open("rb") as file:
        return _ARGUMENTS if file.read(4) == b"RIFF" else (*_ARGUMENTS, _NOTHING_BEHIND)


class _Process:
    """One running ExifTool."""

    def __init__(self, executable: str) -> None:
        self._popen = subprocess.Popen(  # noqa: S603 - the executable is the one found at start
            ["/bin/sh", "-c", _ENDS_WITH_US, executable],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        self._pipes = (self._popen.stdin, self._popen.stdout)
        self._asked = 0

    def ask(self, path: Path, arguments: Sequence[str], within_s: float) -> bytes:
        """Send one file's name, wait for the whole answer.

        Raises:
            MetadataUnread: no answer in time, the process is gone, or such a name cannot be sent.
        """
        name = os.fsencode(path.resolve())
        if b"\n" in name or b"\r" in name or name != name.strip():
            raise MetadataUnread("ExifTool cannot be told a name with line ends, or blanks at its end")
        self._asked += 1
        question, answer = self._pipes
        if question is None or answer is None:
            raise MetadataUnread("ExifTool runs without pipes")
        question.write("\n".join(arguments).encode() + b"\n" + name + f"\n-execute{self._asked}\n".encode())
        return _read_until(answer.fileno(), f"{{ready{self._asked}}}\n".encode(), within_s)

    def kill(self) -> None:
        """End it now: it only reads, so nothing can be lost."""
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        for pipe in self._pipes:
            if pipe is not None:
                pipe.close()


def _read_until(source: int, mark: bytes, within_s: float) -> bytes:
    """What comes before `mark` on a line of its own; JSON has no bare line end inside its strings."""
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    answer, deadline = bytearray(), time.monotonic() + within_s
    while not (answer == mark or answer.endswith(b"\n" + mark)):
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise MetadataUnread(f"ExifTool did not answer within {within_s:g} s")
        piece = os.read(source, 1 << 16)
        if not piece:
            raise MetadataUnread("ExifTool ended before it answered")
        answer += piece
    return bytes(answer.removesuffix(mark))


class _AsWritten(Decimal):
    """A number that still knows its letters: ExifTool leaves a model `4.10` and a label `4E22` without quotes."""

    _letters: str

    def __new__(cls, letters: str) -> "_AsWritten":
        number = super().__new__(cls, letters)
        number._letters = letters
        return number

    def __str__(self) -> str:
        return self._letters


def _parse(answer: bytes) -> dict[str, Any]:
    """The one file's tags."""
    if not answer.strip():
        return {}
    try:
        (tags,) = json.loads(answer.decode("utf-8", errors="replace"), parse_float=_AsWritten)
    except ValueError as error:
        raise MetadataUnread(f"ExifTool's answer is not JSON: {error}") from error
    return dict(tags)
