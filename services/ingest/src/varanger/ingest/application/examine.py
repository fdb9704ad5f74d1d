"""Look at one local file once: what it is, what it says, and its views. Ingest and `varanger inspect` both do this."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from varanger.common.messages import MediaMetadata, Mend
from varanger.common.settings import Settings
from varanger.common.telemetry import metrics
from varanger.ingest.adapters.decoding import decode_view, read_size
from varanger.ingest.adapters.jpeg_scans import refuse_scans
from varanger.ingest.adapters.pillow_exif import PillowExifReader
from varanger.ingest.adapters.video import decode_video
from varanger.ingest.adapters.zip_archive import ArchiveUnreadable, ZipArchive
from varanger.ingest.domain.archive import Archive, ArchiveLimits
from varanger.ingest.domain.file_types import JPEG, SNIFF_BYTES, FileType, Kind, name_contradicts, refuse_type, sniff
from varanger.ingest.domain.metadata import RawTags, orientation, read_metadata
from varanger.ingest.domain.verdict import Flag, ImageUnreadable, Quarantine, QuarantineReason, too_many_pixels
from varanger.ingest.domain.video import Video, VideoLimits
from varanger.ingest.domain.view import View
from varanger.ingest.ports import MetadataReader, MetadataUnread

NOTHING_SAID = Mend()


@dataclass(frozen=True)
class Examined:
    """All that ingest wants to know of a file."""

    sha256: str
    bytes: int
    file_type: FileType
    outcome: View | Video | Archive | Quarantine
    """Its views if it is media, what an archive holds, else why it is neither."""
    width: int | None = None
    height: int | None = None
    """Pixels as stored in the file, whatever its orientation; None where no header could be read."""
    metadata: MediaMetadata = field(default_factory=MediaMetadata)
    flags: tuple[Flag, ...] = ()


class Examiner:
    """Examines files with one metadata reader and one set of limits. Its methods block: call them from threads.

    Args:
        reader: asked first for a file's tags.
        settings: the limits.
        workbench: an existing folder for what stands on disk between decoding and reading; the system's without.
    """

    def __init__(self, reader: MetadataReader, settings: Settings, workbench: Path | None = None) -> None:
        self._reader = reader
        self._workbench = workbench
        self._second_reader = PillowExifReader()
        self._max_pixels = settings.max_pixels
        self._video_limits = VideoLimits(
            frames_per_s=settings.video_frames_per_s,
            max_frames=settings.video_max_frames,
            timeout_s=settings.video_timeout_s,
            memory_bytes=settings.video_memory_bytes,
            max_pixels=settings.max_pixels,
        )
        self.archive_limits = ArchiveLimits(
            max_entries=settings.archive_max_entries,
            max_bytes=settings.archive_max_bytes,
            max_ratio=settings.archive_max_ratio,
        )

    def examine(
        self, path: Path, original_name: str, *, mend: Mend = NOTHING_SAID, inside_archive: bool = False
    ) -> Examined:
        """Verify, read and decode.

        Args:
            path: the file.
            original_name: what it was called.
            mend: what a person said of it.
            inside_archive: it came out of an archive, and is not opened if it is one itself.

        Raises:
            OSError: the disk failed, or videos cannot be decoded here; nothing is said about the file.
        """
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            file.seek(0)
            file_type = sniff(file.read(SNIFF_BYTES))
        found = partial(Examined, sha256, size, file_type)
        if size == 0:
            return found(Quarantine(QuarantineReason.EMPTY_FILE, "the file has no bytes"))
        refusal = refuse_type(file_type, inside_archive=inside_archive)
        if refusal is not None:
            return found(refusal)
        match file_type.kind:
            case Kind.ARCHIVE:
                examined = found(self._unpack(path))
            case Kind.VIDEO:
                examined = self._examine_video(path, file_type, found)
            case _:
                examined = self._examine_image(path, file_type, found)
        return _with_name(_mended(examined, mend), original_name, mend)

    def _examine_image(self, path: Path, file_type: FileType, found: Callable[..., Examined]) -> Examined:
        tags, metadata, unread = self._read_metadata(path)
        try:
            width, height = read_size(path, file_type)
        except ImageUnreadable as error:
            return found(error.verdict, metadata=metadata)
        outcome = self._decode(path, file_type, width, height, orientation(tags))
        flags = _noticed(
            {
                Flag.NO_DATE: metadata.captured_at is None,
                Flag.VIEW_ROTATED: orientation(tags) != 1,
                Flag.DAMAGED_DATA: isinstance(outcome, View) and outcome.damaged,
                Flag.TRUNCATED: isinstance(outcome, View) and outcome.truncated,
                Flag.METADATA_UNREAD: unread,
            }
        )
        return found(outcome, width, height, metadata, flags)

    def _examine_video(self, path: Path, file_type: FileType, found: Callable[..., Examined]) -> Examined:
        _, metadata, unread = self._read_metadata(path)
        with metrics.STAGE_SECONDS.labels("ingest_video").time():
            outcome = decode_video(path, file_type, self._video_limits, self._workbench)
        if isinstance(outcome, Quarantine):
            return found(outcome, metadata=metadata)
        flags = _noticed(
            {
                Flag.NO_DATE: metadata.captured_at is None,
                Flag.VIEW_ROTATED: outcome.rotated,
                Flag.TRUNCATED: outcome.truncated,
                Flag.DAMAGED_DATA: outcome.damaged,
                Flag.METADATA_UNREAD: unread,
            }
        )
        return found(outcome, outcome.width, outcome.height, metadata, flags)

    def _unpack(self, path: Path) -> Archive | Quarantine:
        with metrics.STAGE_SECONDS.labels("ingest_unpack").time():
            try:
                with ZipArchive(path, self.archive_limits) as archive:
                    return archive.verify()
            except ArchiveUnreadable as error:
                return error.verdict

    def _decode(self, path: Path, file_type: FileType, width: int, height: int, turn: int) -> View | Quarantine:
        refusal = too_many_pixels(width, height, self._max_pixels)
        if refusal is None and file_type is JPEG:
            refusal = refuse_scans(path, width * height)
        if refusal is not None:
            return refusal
        with metrics.STAGE_SECONDS.labels("ingest_view").time():
            try:
                return decode_view(path, file_type, orientation=turn)
            except ImageUnreadable as error:
                return error.verdict

    def close(self) -> None:
        """Let the metadata reader go."""
        self._reader.close()

    def _read_metadata(self, path: Path) -> tuple[RawTags, MediaMetadata, bool]:
        """The tags, what they say, and whether the chosen reader gave up."""
        with metrics.STAGE_SECONDS.labels("ingest_metadata").time():
            tags, reader, unread = self._read_tags(path)
        return tags, read_metadata(tags, reader), unread

    def _read_tags(self, path: Path) -> tuple[RawTags, str, bool]:
        """The tags, who read them, and whether the chosen reader gave up. Metadata never decide whether it is media."""
        try:
            return self._reader.read(path), self._reader.name, False
        except MetadataUnread as first:
            if isinstance(self._reader, PillowExifReader):  # it would only say the same again
                return {}, f"{self._reader.name}; {first}", True
            reader = f"{self._second_reader.name}, after {self._reader.name} gave up: {first}"
            try:
                return self._second_reader.read(path), reader, True
            except MetadataUnread as second:
                return {}, f"{reader}; {second}", True


def _noticed(seen: dict[Flag, bool]) -> tuple[Flag, ...]:
    return tuple(flag for flag, noticed in seen.items() if noticed)


def _mended(examined: Examined, mend: Mend) -> Examined:
    """With the date that a person gave, in place of whatever the file says of time."""
    if mend.captured_at is None or not isinstance(examined.outcome, View | Video):
        return examined
    by_person = {"captured_at": mend.captured_at, "sub_seconds": None, "utc_offset": None}
    flags = (Flag.DATE_BY_PERSON, *(flag for flag in examined.flags if flag is not Flag.NO_DATE))
    return replace(examined, metadata=examined.metadata.model_copy(update=by_person), flags=flags)


def _with_name(examined: Examined, original_name: str, mend: Mend) -> Examined:
    """Refused where its name says another type, unless a person took it as it is. What is refused already stays so."""
    if isinstance(examined.outcome, Quarantine) or mend.accept_as_is:
        return examined
    if not name_contradicts(original_name, examined.file_type):
        return examined
    detail = f"{original_name} is named as one type, its bytes are {examined.file_type.media_type}"
    return replace(examined, outcome=Quarantine(QuarantineReason.EXTENSION_MISMATCH, detail))
