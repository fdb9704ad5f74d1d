"""A metadata reader for tests: every file says the same."""

from pathlib import Path

from varanger.ingest.domain.metadata import RawTags
from varanger.ingest.ports import MetadataUnread


class FixedTags:
    """The fake of `MetadataReader`: answers `tags`, or gives up where there are none to answer."""

    name = "fixed tags"

    def __init__(self, tags: RawTags | None) -> None:
        self._tags = tags

    def read(self, path: Path) -> RawTags:
        """As the port says."""
        if self._tags is None:
            raise MetadataUnread(f"nothing is known of {path.suffix or 'such'} files")
        return self._tags

    def close(self) -> None:
        """Nothing to let go."""
