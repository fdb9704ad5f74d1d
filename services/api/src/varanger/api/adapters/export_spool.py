"""An export's files on the gateway's own disk: read from the catalog in one go, for readers as slow as they like."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from datetime import datetime
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

from varanger.api.domain.export_names import ExportedFile

_IN_MEMORY = 4 << 20
"""Bytes; what is larger goes to the disk."""
_LOCAL_TIME = [each.name for each in fields(ExportedFile)].index("local_time")


class ExportSpool:
    """Written once, then read once from its beginning. It blocks: call it on a thread."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.places: set[tuple[str, str | None, str]] = set()
        """(location, camera, deployment) ids of the files written."""

    def write(self, files: Iterable[ExportedFile]) -> None:
        """Add these."""
        for file in files:
            self.places.add((file.location_id, file.camera_id, file.deployment_id))
            self._file.write(json.dumps(astuple(file), default=datetime.isoformat) + "\n")

    def read(self) -> Iterator[ExportedFile]:
        """Every file, in the order of writing."""
        self._file.seek(0)
        for line in self._file:
            values = json.loads(line)
            taken = values[_LOCAL_TIME]
            values[_LOCAL_TIME] = None if taken is None else datetime.fromisoformat(taken)
            yield ExportedFile(*values)


@contextmanager
def export_spool(folder: Path | None) -> Iterator[ExportSpool]:
    """A spool in this folder (None: the system's temporary one), gone at the end."""
    where = None if folder is None else str(folder)
    with SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", dir=where, prefix="varanger-export-") as file:
        yield ExportSpool(file)
