"""A zip as a parcel of files: what its entries are called, and under which ids they go on."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class ArchiveLimits:
    """What one archive may unpack to."""

    max_entries: int
    max_bytes: int
    """Of all its files together, unpacked."""
    max_ratio: int
    """Unpacked to packed bytes of one file. The first MiB is free: a short file of zeros is no bomb."""


@dataclass(frozen=True)
class ArchiveEntry:
    """One file inside, read to its end once."""

    index: int
    """Its place in the archive's directory, from 0; folders count, though they are no entries."""
    path: str
    """Cleaned, `/`-separated, never empty. Two entries may have the same."""
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Archive:
    """An archive of which every file can be unpacked."""

    entries: Sequence[ArchiveEntry]
    """At least one."""


FREE_BYTES = 1 << 20
_LONGEST_PART = 255
_MOST_PARTS = 64
_DRIVE = re.compile(r"[A-Za-z]:")


def entry_media_id(archive_id: UUID, index: int) -> UUID:
    """The id of an entry: it follows from the archive's and its place, so that unpacking twice makes the same media.

    A UUIDv7 of the archive's own moment, so that lists, which go by id, show entries where the archive came in.
    """
    place = hashlib.sha256(archive_id.bytes + index.to_bytes(8, "big")).digest()
    return UUID(bytes=archive_id.bytes[:8] + bytes([0x80 | place[0] & 0x3F]) + place[1:8])


def clean_path(name: str, index: int) -> str:
    """An entry's name as a relative path that stays inside: no drive, no `..`, no control characters, either slash.

    It names nothing on a disk: objects are called by id. What is left of an evil name is for people to read.
    """
    parts = ("".join(letter for letter in part if letter.isprintable()) for part in re.split(r"[/\\]", name))
    kept = [part.strip()[-_LONGEST_PART:] for part in parts if part.strip(" .") and not _DRIVE.fullmatch(part)]
    return "/".join(kept[-_MOST_PARTS:]) or f"entry-{index}"


def entry_path(archive_name: str, path: str) -> str:
    """The original path of an entry: `<archive's name>/<path inside>`."""
    return f"{archive_name}/{path}"


def true_name(name: str, *, says_utf8: bool) -> str:
    """A name that zipfile read as cp437 for want of a flag, in UTF-8 where its bytes are that.

    Older macOS and Info-ZIP write UTF-8 without saying so; a Windows code page other than 437 stays garbled, and the
    bytes of the file are the same. APPNOTE 4.4.4 has the flag: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    """
    if says_utf8:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name
