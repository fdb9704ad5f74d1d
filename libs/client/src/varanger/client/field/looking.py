"""What lies in a folder: regular files; hidden ones, links and unfinished ones are left out."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from varanger.client.field.ends import FolderGone

UNFINISHED = (b".tmp", b".part")
"""What programs call a file that they still write."""


def files_in(folder: Path, left_out: Counter[str], say: Callable[[str], None]) -> Iterator[tuple[bytes, int, int]]:
    """Each file's path below the folder, size in bytes, and time of its last change in nanoseconds.

    Names are bytes, for cards of old cameras hold names that are no UTF-8. Links are not followed: what they lead to
    is either in the folder already or was not meant. Nothing is said of folders that are empty.

    Args:
        folder: searched whole.
        left_out: what was left out is counted here, by why.
        say: told of a folder below that cannot be looked into.

    Raises:
        FolderGone: the folder itself cannot be listed.
    """
    root = bytes(folder)
    waiting = [b""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(os.path.join(root, below) if below else root) as entries:  # noqa: PTH118 - bytes
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            must_be_there(folder)
            if not below:
                raise FolderGone(f"{folder} cannot be looked into: {error.strerror}") from error
            if error.errno != errno.ENOENT:
                say(f"{shown(below)} cannot be looked into: {error.strerror}")
            continue
        for entry in found:
            path = os.path.join(below, entry.name) if below else entry.name  # noqa: PTH118 - bytes
            kind = _kind(entry)
            if kind == "folder":
                waiting.append(path)
            elif kind == "file":
                try:
                    known = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # it went while we looked
                yield path, known.st_size, known.st_mtime_ns
            else:
                left_out[kind] += 1


def _kind(entry: "os.DirEntry[bytes]") -> str:
    if entry.name.startswith(b"."):
        return "hidden"
    if entry.is_symlink():
        return "links"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    if entry.name.lower().endswith(UNFINISHED):
        return "*.tmp and *.part"
    return "file" if entry.is_file(follow_symlinks=False) else "neither files nor folders"


def must_be_there(folder: Path) -> None:
    """Raises FolderGone where it is not."""
    try:
        there = stat.S_ISDIR(folder.stat().st_mode)
    except OSError as error:
        raise FolderGone(f"{folder} is not there ({error.strerror}); was the card taken out?") from error
    if not there:
        raise FolderGone(f"{folder} is no folder")


def shown(path: bytes) -> str:
    """A path for people."""
    return path.decode("utf-8", "replace")
