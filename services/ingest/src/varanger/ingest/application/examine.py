"""Look at one local file once: what it is, what it says, and its view. Ingest and `varanger inspect` both do this."""

import hashlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from varanger.common.messages import MediaMetadata
from varanger.common.telemetry import metrics
from varanger.ingest.adapters.decoding import decode_view, read_size
from varanger.ingest.adapters.pillow_exif import PillowExifReader
from varanger.ingest.domain.file_types import SNIFF_BYTES, FileType, name_contradicts, refuse_type, sniff
from varanger.ingest.domain.metadata import RawTags, orientation, read_metadata
from varanger.ingest.domain.verdict import Flag, ImageUnreadable, Quarantine, QuarantineReason, too_many_pixels
from varanger.ingest.domain.view import View
from varanger.ingest.ports import MetadataReader, MetadataUnread


@dataclass(frozen=True)
class Examined:
    """All that ingest wants to know of a file."""

    sha256: str
    bytes: int
    file_type: FileType
    outcome: View | Quarantine
    """Its view if it is media, else why it is not."""
    width: int | None = None
    height: int | None = None
    """Pixels as stored in the file, whatever its orientation; None where no header could be read."""
    metadata: MediaMetadata = field(default_factory=MediaMetadata)
    flags: tuple[Flag, ...] = ()


class Examiner:
    """Examines files with one metadata reader and one limit. Its methods block: call them from threads."""

    def __init__(self, reader: MetadataReader, *, max_pixels: int) -> None:
        self._reader = reader
        self._second_reader = PillowExifReader()
        self._max_pixels = max_pixels

    def examine(self, path: Path, original_name: str) -> Examined:
        """Verify, read and decode.

        Raises:
            OSError: the disk failed; nothing is said about the file.
        """
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            file.seek(0)
            file_type = sniff(file.read(SNIFF_BYTES))
        found = partial(Examined, sha256, size, file_type)
        if size == 0:
            return found(Quarantine(QuarantineReason.EMPTY_FILE, "the file has no bytes"))
        refusal = refuse_type(file_type)
        if refusal is not None:
            return found(refusal)
        with metrics.STAGE_SECONDS.labels("ingest_metadata").time():
            tags, reader, unread = self._read_tags(path)
        metadata = read_metadata(tags, reader)
        try:
            width, height = read_size(path, file_type)
        except ImageUnreadable as error:
            return found(error.verdict, metadata=metadata)
        outcome = self._decode(path, file_type, width, height, orientation(tags))
        if isinstance(outcome, View) and name_contradicts(original_name, file_type):
            detail = f"{original_name} is named as one type, its bytes are {file_type.media_type}"
            outcome = Quarantine(QuarantineReason.EXTENSION_MISMATCH, detail)
        noticed = {
            Flag.NO_DATE: metadata.captured_at is None,
            Flag.VIEW_ROTATED: orientation(tags) != 1,
            Flag.DAMAGED_DATA: isinstance(outcome, View) and outcome.damaged,
            Flag.TRUNCATED: isinstance(outcome, View) and outcome.truncated,
            Flag.METADATA_UNREAD: unread,
        }
        flags = tuple(flag for flag, seen in noticed.items() if seen)
        return found(outcome, width, height, metadata, flags)

    def _decode(self, path: Path, file_type: FileType, width: int, height: int, turn: int) -> View | Quarantine:
        bomb = too_many_pixels(width, height, self._max_pixels)
        if bomb is not None:
            return bomb
        with metrics.STAGE_SECONDS.labels("ingest_view").time():
            try:
                return decode_view(path, file_type, orientation=turn)
            except ImageUnreadable as error:
                return error.verdict

    def close(self) -> None:
        """Let the metadata reader go."""
        self._reader.close()

    def _read_tags(self, path: Path) -> tuple[RawTags, str, bool]:
        """The tags, who read them, and whether the chosen reader gave up. Metadata never decide whether it is media."""
        try:
            return self._reader.read(path), self._reader.name, False
        except MetadataUnread as first:
            reader = f"{self._second_reader.name}, after {self._reader.name} gave up: {first}"
            try:
                return self._second_reader.read(path), reader, True
            except MetadataUnread as second:
                return {}, f"{reader}; {second}", True
