"""What ingest needs from outside besides the bus and the object store."""

from pathlib import Path
from typing import Protocol

from varanger.ingest.domain.metadata import RawTags


class MetadataUnread(Exception):
    """A reader gave up on one file: it died, took too long, or cannot take such a path. The next file may be fine."""


class MetadataReader(Protocol):
    """Reads a file's own tags. Called from several threads at once."""

    @property
    def name(self) -> str:
        """Which reader this is, with its version and what it cannot read."""

    def read(self, path: Path) -> RawTags:
        """All tags, named and valued as `varanger.ingest.domain.metadata` says; empty where the file has none.

        Raises:
            MetadataUnread: the reader gave up on this file.
        """

    def close(self) -> None:
        """Let processes go. Nothing is read afterwards."""
