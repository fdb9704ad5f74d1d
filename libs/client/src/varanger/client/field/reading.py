"""Reading a file of the folder: its digest, and whether it is still what the journal says."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from varanger.client.field.journal import Entry


@dataclass(frozen=True)
class Measured:
    """A file as it is now."""

    bytes: int
    mtime_ns: int
    sha256: str

    def is_what(self, entry: Entry) -> bool:
        """Whether the journal knows it so."""
        return (self.bytes, self.mtime_ns) == (entry.bytes, entry.mtime_ns)


def path_of(folder: Path, entry: Entry) -> Path:
    """Where it lies."""
    return folder / os.fsdecode(entry.path)


def measure(path: Path) -> Measured:
    """Its size, date and digest. Raises OSError; a link is none of ours."""
    with _opened(path) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        known = os.fstat(file.fileno())
        return Measured(known.st_size, known.st_mtime_ns, sha256)


def remove_if_same(path: Path, sha256: str) -> bool:
    """Remove it if its content has this digest; whether it had. Raises OSError.

    The file is held open from reading to removing, and must be the one of that name at the end. What is written into
    it between the last look and the removal, microseconds, would be lost: no file system removes by content.
    """
    with _opened(path) as file:
        before = os.fstat(file.fileno())
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            return False
        after = path.stat(follow_symlinks=False)
        same = ("st_dev", "st_ino", "st_size", "st_mtime_ns")
        if any(getattr(before, name) != getattr(after, name) for name in same):
            return False
        path.unlink()
        return True


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        yield file
