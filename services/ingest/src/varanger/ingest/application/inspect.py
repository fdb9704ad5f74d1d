"""What ingest sees in a file, without a server: `varanger inspect FILE… --json`."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from varanger.common.messages import MediaMetadata
from varanger.common.settings import Settings
from varanger.ingest.adapters import open_metadata_reader
from varanger.ingest.application.examine import Examined, Examiner
from varanger.ingest.domain.archive import Archive
from varanger.ingest.domain.verdict import Quarantine
from varanger.ingest.domain.video import Video


def inspect_file(path: Path) -> dict[str, Any]:
    """One file as JSON can hold it; see `inspect_files`."""
    (found,) = inspect_files([path])
    return found


def inspect_files(paths: Iterable[Path], *, settings: Settings | None = None) -> Iterator[dict[str, Any]]:
    """One dictionary per file, in order, through the same code as ingest.

    `verdict` is `media`, `archive` (a zip of so many `entries`, each of which ingest takes as a file of its own) or
    `quarantined`, or `unreadable` where the disk gave no bytes; `captured_at` is the camera's own time without a zone,
    ISO 8601; what the file does not say is None. What it says of itself has the names and units of `MediaMetadata`,
    all of it but `exif_data`.
    """
    settings = settings or Settings()
    with closing(Examiner(open_metadata_reader(), settings)) as examiner:
        for path in paths:
            try:
                yield _describe(path, examiner.examine(path, path.name))
            except OSError as error:
                yield _unreadable(path, error)


_SAID = tuple(name for name in MediaMetadata.model_fields if name not in ("exif_data", "reader"))
_FIELDS = (
    *("file", "sha256", "bytes", "media_type", "width", "height", *_SAID),
    *("duration_s", "frame_rate", "frame_numbers", "entries"),
    *("verdict", "reason", "detail", "flags", "reader"),
)


def _unreadable(path: Path, error: OSError) -> dict[str, Any]:
    reason = "no_such_file" if isinstance(error, FileNotFoundError) else "not_readable"
    said = {"file": str(path), "verdict": "unreadable", "reason": reason, "detail": str(error), "flags": []}
    return {name: said.get(name) for name in _FIELDS}


def _describe(path: Path, found: Examined) -> dict[str, Any]:
    refusal = found.outcome if isinstance(found.outcome, Quarantine) else None
    video = found.outcome if isinstance(found.outcome, Video) else None
    archive = found.outcome if isinstance(found.outcome, Archive) else None
    return {
        "file": str(path),
        "sha256": found.sha256,
        "bytes": found.bytes,
        "media_type": found.file_type.media_type,
        "width": found.width,
        "height": found.height,
        **found.metadata.model_dump(mode="json", include=set(_SAID)),
        "duration_s": video and video.duration_s,
        "frame_rate": video and video.frame_rate,
        "frame_numbers": video and [frame.number for frame in video.frames],
        "entries": archive and len(archive.entries),
        "verdict": "quarantined" if refusal else "archive" if archive else "media",
        "reason": refusal and str(refusal.reason),
        "detail": refusal and refusal.detail,
        "flags": [str(flag) for flag in found.flags],
        "reader": found.metadata.reader,
    }
