"""Sending files: what to send, in which requests, and what the verdicts mean."""

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
        bytes_here = path.stat().st_size
        if batch and (len(batch) >= BATCH_FILES or size + bytes_here > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += bytes_here
    if batch:
        yield batch


def sha256_of(path: Path) -> str:
    """Hex digest, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
