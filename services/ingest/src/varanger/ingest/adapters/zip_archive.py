"""Read a zip that may be hostile: every limit holds on the bytes that come out, whatever its headers say.

Only stored and deflated entries are read: zipfile bounds what inflating puts out at a time, but not what bzip2 and LZMA
do. Nothing is written under a name from the archive.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from varanger.ingest.domain.archive import FREE_BYTES, Archive, ArchiveEntry, ArchiveLimits, clean_path, true_name
from varanger.ingest.domain.verdict import Quarantine, QuarantineReason

_CHUNK = 1 << 18
_LONGEST_REASON = 300
"""zipfile repeats whole names in its errors."""
_DIRECTORY_BYTES_PER_ENTRY = 600
"""zipfile reads an archive's directory at once; a longer one is refused. Cameras' names take about 80 bytes."""
_ENCRYPTED = 0x1
_UTF8 = 0x800


class ArchiveUnreadable(Exception):
    """The archive cannot be unpacked whole."""

    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(detail)
        self.verdict = Quarantine(reason, detail)


class ZipArchive:
    """An open zip, a context manager. Blocks: call it from threads, one at a time."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        """Read the directory.

        Raises:
            ArchiveUnreadable: it has none, or one over the limits.
            OSError: the disk failed.
        """
        self._limits = limits
        self._size = path.stat().st_size
        longest = max(1 << 16, limits.max_entries * _DIRECTORY_BYTES_PER_ENTRY)
        with ExitStack() as opening, _judging("its directory"):
            file = opening.enter_context(_Bounded(path, longest))
            self._zip = opening.enter_context(ZipFile(file))
            self._opened = opening.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def verify(self) -> Archive:
        """Unpack every file into nothing: CRC, sizes and limits hold for each, or the archive is refused.

        Raises:
            ArchiveUnreadable: naming the first file at fault.
            OSError: the disk failed.
        """
        found = [
            (index, info)
            for index, info in enumerate(self._zip.infolist())
            if not (info.filename.endswith("/") and info.file_size == 0)  # `is_dir` fails on an empty name
        ]
        if not found:
            raise ArchiveUnreadable(QuarantineReason.EMPTY_ARCHIVE, "there is no file in the archive")
        if len(found) > self._limits.max_entries:
            raise _too_large(f"there are {len(found)} files in it, more than the {self._limits.max_entries} allowed")
        entries, total = [], 0
        for index, info in found:
            digest, size = hashlib.sha256(), 0
            for piece in self._unpacked(index, info):
                digest.update(piece)
                size += len(piece)
                total += len(piece)
                if total > self._limits.max_bytes:
                    raise _too_large(f"it unpacks to more than the {self._limits.max_bytes} bytes allowed")
            entries.append(ArchiveEntry(index, _path(index, info), digest.hexdigest(), size))
        return Archive(tuple(entries))

    def extract(self, entry: ArchiveEntry, target: Path) -> None:
        """Write one verified file to `target`."""
        with target.open("wb") as file:
            for piece in self._unpacked(entry.index, self._zip.infolist()[entry.index]):
                file.write(piece)

    def _unpacked(self, index: int, info: ZipInfo) -> Iterator[bytes]:
        """The bytes of one file; raises where they are not what the directory says, or swell."""
        name = _path(index, info)
        if info.flag_bits & _ENCRYPTED:
            raise _unsupported(f"{name} is encrypted: send it without a password")
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise _unsupported(f"{name} is packed by method {info.compress_type}: only stored and deflated are read")
        allowed = max(FREE_BYTES, self._limits.max_ratio * min(info.compress_size, self._size))
        with _judging(name), self._zip.open(info) as file:
            size = 0
            while piece := file.read(_CHUNK):
                size += len(piece)
                if size > allowed:
                    raise _too_large(f"{name} unpacks to over {self._limits.max_ratio} times its packed bytes")
                yield piece
            if size != info.file_size:
                raise ValueError(f"{size} bytes, and not the {info.file_size} its header says")


def _path(index: int, info: ZipInfo) -> str:
    return clean_path(true_name(info.filename, says_utf8=bool(info.flag_bits & _UTF8)), index)


def _too_large(detail: str) -> ArchiveUnreadable:
    return ArchiveUnreadable(QuarantineReason.ARCHIVE_TOO_LARGE, detail)


def _unsupported(detail: str) -> ArchiveUnreadable:
    return ArchiveUnreadable(QuarantineReason.UNSUPPORTED_ARCHIVE, detail)


@contextmanager
def _judging(what: str) -> Iterator[None]:
    """Turn what zipfile raises on broken bytes, which is nearly anything, into a verdict; not the disk's own errors."""
    try:
        yield
    except ArchiveUnreadable:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        detail = f"{what} cannot be read: {str(error)[:_LONGEST_REASON] or type(error).__name__}"
        raise ArchiveUnreadable(QuarantineReason.CORRUPT_ARCHIVE, detail) from error


class _Bounded(io.FileIO):
    """A file that gives no more than so much at a time, and takes a place before its beginning for broken bytes."""

    def __init__(self, path: Path, longest: int) -> None:
        super().__init__(path, "rb")
        self._longest = longest

    def read(self, size: int | None = -1) -> bytes:
        asked = self._longest + 1 if size is None or size < 0 else size
        data = super().read(min(asked, self._longest + 1)) or b""
        if len(data) > self._longest:
            raise _too_large(f"its directory is over the {self._longest} bytes allowed")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0 and offset < 0:
            raise ValueError("a place before the beginning")
        return super().seek(offset, whence)
