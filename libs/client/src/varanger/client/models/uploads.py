"""What becomes of files that are sent."""

from collections.abc import Callable
from dataclasses import dataclass

OnProgress = Callable[[int, int], None]
"""Called with files done and files in all."""


@dataclass(frozen=True)
class FileVerdict:
    """The gateway's word on one file. For a duplicate, `media_id` is the file's that was there first."""

    file: str
    verdict: str
    """`accepted`, `duplicate` or `rejected`."""
    media_id: str | None = None
    sha256: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of one file of a folder, as seen from here."""

    file: str
    """Its path as it was sent: relative to the folder, `/` between parts."""
    verdict: str
    """`accepted`, `duplicate` or `rejected`."""
    media_id: str | None
    """For a duplicate that of the file that was there first."""
    sha256: str | None
    """Of the file here; the gateway's is the same. None where the file could not be read."""
    reason: str
    """Why it is not `accepted`."""
    repeated: bool = False
    """It took more than one try. A `duplicate` may then be this very file, whose first answer was lost on the way."""


@dataclass(frozen=True)
class KnownContent:
    """Content that the project has."""

    sha256: str
    media_id: str


@dataclass(frozen=True)
class Checked:
    """Which contents a project has, and which it has not."""

    unknown: tuple[str, ...]
    known: tuple[KnownContent, ...]

    def media_ids(self) -> dict[str, str]:
        """sha256 to media id, of what is known."""
        return {each.sha256: each.media_id for each in self.known}


@dataclass(frozen=True)
class TusUpload:
    """An upload in pieces, as far as it has come. `verdict` is there once it is whole."""

    upload_id: str
    offset: int
    verdict: FileVerdict | None = None
