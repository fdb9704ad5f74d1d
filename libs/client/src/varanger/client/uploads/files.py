"""Sending files: what to send, in which requests, and under which names."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

BATCH_FILES = 16
BATCH_BYTES = 32 << 20
"""A request ends at whichever comes first; a larger file goes alone."""


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, sorted; hidden ones left out. The gateway decides what is an image."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Files in requests of bounded number and size, in order."""
    batch: list[Path] = []
    size = 0
    for path in paths:
        bytes_here = _size(path)
        if batch and (len(batch) >= BATCH_FILES or size + bytes_here > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += bytes_here
    if batch:
        yield batch


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # whoever reads it says what is wrong with it


def sha256_of(path: Path) -> str:
    """Hex digest, read in chunks.

    Raises:
        OSError: the disk does not give it.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name_of(path: Path, below: Path | None) -> str:
    """What a file is called on the way: relative to `below`, `/` between parts, or its own name alone.

    Names that are no UTF-8 on the disk (cards written by old cameras) keep what can be read of them.
    """
    name = path.relative_to(below).as_posix() if below else path.name
    return name.encode("utf-8", "replace").decode()
