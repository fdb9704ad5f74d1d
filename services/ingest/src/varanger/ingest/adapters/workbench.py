"""The folder of the files in hand, and the end of those that killed processes left behind."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

PREFIX = "varanger-ingest-"
_OWNER = "owner"
"""A file in the folder, which its process keeps locked; the system ends the lock with the process."""


@contextmanager
def open_workbench() -> Iterator[Path]:
    """A folder of our own until the block is left. Folders whose process is gone are removed first."""
    for folder in Path(gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # in use, without an owner, or of another user
            _remove_left(folder)
    with TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        lock = folder / "taking"
        with lock.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lock.rename(folder / _OWNER)  # locked before anybody can see it
            yield folder


def _remove_left(folder: Path) -> None:
    """Remove a folder that nobody owns any more; raises OSError where somebody does or may."""
    with (folder / _OWNER).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
