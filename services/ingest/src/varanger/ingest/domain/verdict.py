"""Is it media, or is it kept in quarantine, and why."""

from dataclasses import dataclass
from enum import StrEnum


class QuarantineReason(StrEnum):
    """Why a file is kept and is not (yet) media."""

    EMPTY_FILE = "empty_file"
    NOT_AN_IMAGE = "not_an_image"
    """Bytes of no kind we know."""
    WRONG_TYPE = "wrong_type"
    """Something known that is neither image, video nor archive: text, a PDF…"""
    EXTENSION_MISMATCH = "extension_mismatch"
    """A readable image whose name says another type than its bytes: no camera writes that, so a person decides."""
    TRUNCATED_IMAGE = "truncated_image"
    CORRUPT_IMAGE = "corrupt_image"
    DECOMPRESSION_BOMB = "decompression_bomb"
    UNSUPPORTED_IMAGE = "unsupported_image"
    TOO_MANY_SCANS = "too_many_scans"
    """A JPEG of so many passes that decoding it would block a thread for minutes: no camera writes that."""
    UNSUPPORTED_VIDEO = "unsupported_video"
    """No moving picture in it, or one in an encoding that is not decoded here."""
    CORRUPT_VIDEO = "corrupt_video"
    """Not one frame can be decoded."""
    VIDEO_TOO_SLOW = "video_too_slow"
    UNSUPPORTED_ARCHIVE = "unsupported_archive"
    """No zip, or one that cannot be opened without a password, or lies inside another archive."""
    CORRUPT_ARCHIVE = "corrupt_archive"
    """One file of it cannot be unpacked; then none is, so that its files are counted once and completely."""
    EMPTY_ARCHIVE = "empty_archive"
    ARCHIVE_TOO_LARGE = "archive_too_large"


class Flag(StrEnum):
    """What a person may want to look at in a file that is media."""

    NO_DATE = "no_date"
    VIEW_ROTATED = "view_rotated"
    """The file asks to be turned (EXIF orientation), and the view is. Width, height and the original are as stored."""
    DAMAGED_DATA = "damaged_data"
    """It decodes to its end, but the strict decoder complained on the way, or frames of the video are broken."""
    TRUNCATED = "truncated"
    """The file ends before its image does, and enough of it can be seen (`view.enough_can_be_seen`); or it is a video
    that ends before its header says."""
    DATE_BY_PERSON = "date_by_person"
    """A person said when it was taken, and not the file."""
    METADATA_UNREAD = "metadata_unread"
    """The chosen metadata reader gave up on the file; what stands in the metadata is what the second one could read."""


@dataclass(frozen=True)
class Quarantine:
    """A verdict against a file: the reason, and one sentence for a person."""

    reason: QuarantineReason
    detail: str


class ImageUnreadable(Exception):
    """A decoder could not read the whole image."""

    def __init__(self, verdict: Quarantine) -> None:
        super().__init__(verdict.detail)
        self.verdict = verdict


def decoding_failed(error: Exception) -> Quarantine:
    """The one place that decides what an image is whose decoding ended in `error`.

    A JPEG that is truncated has another chance: what can be seen of it may be enough (`view.enough_can_be_seen`).
    """
    words = str(error).lower()
    if "truncated" in words or "premature end" in words:
        return Quarantine(QuarantineReason.TRUNCATED_IMAGE, f"the image ends before its data does: {error}")
    return Quarantine(QuarantineReason.CORRUPT_IMAGE, f"the image cannot be decoded: {error}")


def too_many_pixels(width: int, height: int, max_pixels: int) -> Quarantine | None:
    """Refuse by its header an image of more than `max_pixels` pixels, before anything is decoded."""
    if width * height <= max_pixels:
        return None
    return Quarantine(
        QuarantineReason.DECOMPRESSION_BOMB,
        f"the header says {width} x {height} = {width * height} pixels, more than the {max_pixels} allowed",
    )
