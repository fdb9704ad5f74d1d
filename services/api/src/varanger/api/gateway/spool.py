"""One file on its way to the disk: capped and hashed as it comes, never held in memory."""

import asyncio
import hashlib
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from varanger.common.errors import DependencyDown

WRITE_AT_BYTES = 1 << 20
"""What is gathered before it is hashed and written, off the event loop, in one go."""
PREFIX = "varanger-upload-"
"""What each request's folder is called."""
LEFT_OVER_AFTER_S = 86_400.0
"""A folder in which nothing was written for this long was left by a gateway that was killed."""


class TooLarge(Exception):
    """More than a limit allows; the text names the limit."""


@dataclass(frozen=True)
class SpooledFile:
    """One file of a request, on disk."""

    filename: str
    path: Path
    sha256: str
    bytes: int


class Spool:
    """`add` and `end` say what came; `advance` hashes and writes it on a thread while the next bytes are read."""

    def __init__(self, filename: str, path: Path, limit: int) -> None:
        self._filename = filename
        self._path = path
        self._limit = limit
        self._waiting = bytearray()
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._ended = False
        self._file: IO[bytes] | None = None
        self._writing: asyncio.Task[None] | None = None
        self.complete = False
        """Whether all of it is hashed and written."""

    def add(self, data: bytes) -> None:
        """Raises TooLarge at the first byte too many."""
        self._bytes += len(data)
        if self._bytes > self._limit:
            raise TooLarge(f"{self._filename!r} is larger than {self._limit} bytes, the limit for one file")
        self._waiting += data

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True

    async def advance(self) -> None:
        """Begin to write what was gathered, once the piece before it is written; at the end wait for all of it."""
        if not self._ended and len(self._waiting) < WRITE_AT_BYTES:
            return
        await self._written()
        gathered, self._waiting = self._waiting, bytearray()
        self._writing = asyncio.create_task(asyncio.to_thread(self._write, gathered, last=self._ended))
        if self._ended:
            await self._written()
            self.complete = True

    def result(self) -> SpooledFile:
        """What there is now, once it is `complete`."""
        return SpooledFile(self._filename, self._path, self._hash.hexdigest(), self._bytes)

    async def close(self) -> None:
        """Let go of the file, finished or not. No thread writes to it afterwards."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
        if self._file is not None:
            self._file.close()

    async def _written(self) -> None:
        if self._writing is not None:
            # Not awaited itself: a request that is cancelled would cancel it, and its thread would write on.
            await asyncio.wait([self._writing])
            self._writing.result()

    def _write(self, gathered: bytearray, *, last: bool) -> None:
        self._hash.update(gathered)
        try:
            if self._file is None:
                self._file = self._open()
            self._file.write(gathered)
            if last:
                self._file.close()
        except OSError as error:  # a full disk is no fault of the file
            raise DependencyDown(f"the disk for uploads: {error.strerror}") from error

    def _open(self) -> IO[bytes]:
        return self._path.open("wb")


def remove_left_overs(parent: Path) -> None:
    """Remove folders of requests below `parent` that no gateway writes to any more; another one's stay."""
    limit = time.time() - LEFT_OVER_AFTER_S
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # somebody else's, or removed meanwhile
            if all(path.stat().st_mtime < limit for path in (folder, *folder.iterdir())):
                shutil.rmtree(folder)
