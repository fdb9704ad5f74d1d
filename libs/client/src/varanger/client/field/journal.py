"""What is known of each file, on disk before the next step: a power cut costs at most the step that was under way.

    seen → hashed → queued → sent → confirmed        (refused, with its reason; gone)

`sent` means that the gateway answered, `confirmed` that it was asked afterwards and has the content. Every step may be
done again: digests are asked for before anything is sent, and content goes by its digest.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Self

from varanger.client.field.boot_clock import Moment
from varanger.client.field.ends import Exit, Stop

VERSION = 1
AT_ONCE = 1000
SCHEMA = """
CREATE TABLE errand (
    errand_id INTEGER PRIMARY KEY,
    folder BLOB NOT NULL,
    gateway TEXT NOT NULL,
    project TEXT NOT NULL,
    deployment TEXT NOT NULL,
    UNIQUE (folder, gateway, project, deployment)
);
CREATE TABLE file (
    errand_id INTEGER NOT NULL REFERENCES errand,
    path BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    step TEXT NOT NULL,
    boot TEXT NOT NULL,
    unchanged_since_s REAL NOT NULL,
    sha256 TEXT,
    media_id TEXT,
    upload_id TEXT,
    reason TEXT NOT NULL DEFAULT '',
    faults INTEGER NOT NULL DEFAULT 0,
    source TEXT NOT NULL DEFAULT 'here',
    PRIMARY KEY (errand_id, path)
) WITHOUT ROWID;
CREATE INDEX file_by_step ON file (errand_id, step, mtime_ns);
CREATE INDEX file_by_sha256 ON file (errand_id, sha256);
"""
HERE, KEPT, REMOVED = "here", "kept", "removed"
"""Of a confirmed file: not tried to remove, could not be removed, removed."""
COLUMNS = "path, bytes, mtime_ns, step, sha256, media_id, upload_id, reason, faults"


class Step(StrEnum):
    """Where a file is."""

    SEEN = "seen"
    HASHED = "hashed"
    QUEUED = "queued"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    GONE = "gone"


@dataclass(frozen=True)
class Entry:
    """One file as the journal has it."""

    path: bytes
    """Below the folder, as the disk has it."""
    bytes: int
    mtime_ns: int
    step: Step
    sha256: str | None
    media_id: str | None
    upload_id: str | None
    reason: str
    faults: int


@dataclass(frozen=True)
class Errand:
    """One folder that goes to one deployment."""

    errand_id: int
    folder: Path
    gateway: str
    project: str
    deployment: str


class Journal:
    """The file. What a method has written is on disk when it returns, or at the end of the `together` around it."""

    def __init__(self, path: Path, *, only_read: bool = False) -> None:
        """Raises Stop where it cannot be kept."""
        try:
            if only_read:
                self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(path, isolation_level=None)
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
            [(version,)] = self._db.execute("PRAGMA user_version")
            if version == 0 and not only_read:
                self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
            elif version != VERSION:
                raise Stop(Exit.JOURNAL, f"{path} is a journal of another version ({version}); install the newer one")
        except (sqlite3.Error, OSError) as error:
            raise journal_fault(error, path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def errand(self, folder: Path, gateway: str, project: str, deployment: str) -> Errand:
        """The errand of these, new or begun before. What was queued when the power went may have arrived: ask again."""
        values = (bytes(folder), gateway, project, deployment)
        self._db.execute(
            "INSERT OR IGNORE INTO errand (folder, gateway, project, deployment) VALUES (?, ?, ?, ?)", values
        )
        [(errand_id,)] = self._db.execute(
            "SELECT errand_id FROM errand WHERE (folder, gateway, project, deployment) = (?, ?, ?, ?)", values
        )
        self._db.execute(
            "UPDATE file SET step = ? WHERE errand_id = ? AND step = ?", (Step.HASHED, errand_id, Step.QUEUED)
        )
        self._db.execute("UPDATE file SET source = ? WHERE errand_id = ? AND source = ?", (HERE, errand_id, KEPT))
        return Errand(errand_id, folder, gateway, project, deployment)

    def errands(self, folder: Path) -> list[Errand]:
        """All errands of a folder."""
        found = self._db.execute(
            "SELECT errand_id, gateway, project, deployment FROM errand WHERE folder = ?", (bytes(folder),)
        )
        return [Errand(row[0], folder, *row[1:]) for row in found]

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written in this block is on disk when it ends, all at once: a card's flash is slow to say so."""
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk has taken it back already
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def look_at(self, errand: Errand, found: Iterable[tuple[bytes, int, int]], now: Moment) -> int:
        """Record what a look found (path, bytes, mtime in ns); how many. Writes only what is new or has changed."""
        count, rest = 0, iter(found)
        while some := list(islice(rest, AT_ONCE)):
            count += len(some)
            with self.together():
                for path, size, mtime_ns in some:
                    self._look_at_one(errand, path, size, mtime_ns, now)
        return count

    def _look_at_one(self, errand: Errand, path: bytes, size: int, mtime_ns: int, now: Moment) -> None:
        row = self._db.execute(
            "SELECT bytes, mtime_ns, step, boot, sha256, source FROM file WHERE (errand_id, path) = (?, ?)",
            (errand.errand_id, path),
        ).fetchone()
        # Removed and there again: a power cut has undone it, or a camera whose clock was reset wrote just such a file.
        if row is None or row[:2] != (size, mtime_ns) or row[5] == REMOVED:
            self._see(errand, path, size, mtime_ns, now)
        elif row[2] == Step.GONE:
            self.move(errand, path, Step.SEEN if row[4] is None else Step.HASHED)
        elif row[2] == Step.SEEN and row[3] != now.boot:
            self._see(errand, path, size, mtime_ns, now)

    def _see(self, errand: Errand, path: bytes, size: int, mtime_ns: int, now: Moment) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO file (errand_id, path, bytes, mtime_ns, step, boot, unchanged_since_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (errand.errand_id, path, size, mtime_ns, Step.SEEN, now.boot, now.seconds),
        )

    def changed(self, errand: Errand, path: bytes, size: int, mtime_ns: int, now: Moment) -> None:
        """It is not what it was: begin anew with it."""
        self._see(errand, path, size, mtime_ns, now)

    def unreadable(self, errand: Errand, path: bytes, reason: str, now: Moment) -> None:
        """It cannot be read now; it is tried again once it has rested as long as a new one."""
        self._db.execute(
            "UPDATE file SET step = ?, reason = ?, boot = ?, unchanged_since_s = ? WHERE (errand_id, path) = (?, ?)",
            (Step.SEEN, reason, now.boot, now.seconds, errand.errand_id, path),
        )

    def settled(self, errand: Errand, now: Moment, settle_s: float, *, newest_first: bool, limit: int) -> list[Entry]:
        """Files unchanged for so long, and not written just now by their own date.

        A date in the future says nothing: the clock may have jumped back.
        """
        resting_since_s, just_now_ns = now.seconds - settle_s, now.wall_ns - int(settle_s * 1e9)
        return self._entries(
            "step = ? AND boot = ? AND unchanged_since_s <= ? AND NOT (mtime_ns > ? AND mtime_ns <= ?)"
            f" ORDER BY mtime_ns {'DESC' if newest_first else 'ASC'}, path LIMIT ?",
            (Step.SEEN, now.boot, resting_since_s, just_now_ns, now.wall_ns, limit),
            errand,
        )

    def is_settling(self, errand: Errand) -> bool:
        """Whether a file has been seen that may yet change, and that nothing is wrong with."""
        return bool(self._entries("step = ? AND reason = '' LIMIT 1", (Step.SEEN,), errand))

    def at(self, errand: Errand, *steps: Step, newest_first: bool = False, limit: int = 1000) -> list[Entry]:
        """Files at these steps, in order of sending."""
        marks = ", ".join("?" * len(steps))
        order = "DESC" if newest_first else "ASC"
        return self._entries(f"step IN ({marks}) ORDER BY mtime_ns {order}, path LIMIT ?", (*steps, limit), errand)

    def of(self, errand: Errand, path: bytes) -> list[Entry]:
        """The file of this path, if it is known."""
        return self._entries("path = ?", (path,), errand)

    def to_delete(self, errand: Errand, after: bytes, limit: int) -> list[Entry]:
        """Confirmed files that may still lie here, by path, those after `after`."""
        condition = "step = ? AND source = ? AND path > ? ORDER BY path LIMIT ?"
        return self._entries(condition, (Step.CONFIRMED, HERE, after, limit), errand)

    def still_open(self, errand: Errand) -> list[Entry]:
        """Files that are not confirmed, with their reasons, by path."""
        return self._entries("step != ? ORDER BY path", (Step.CONFIRMED,), errand)

    def _entries(self, condition: str, values: tuple[object, ...], errand: Errand) -> list[Entry]:
        query = f"SELECT {COLUMNS} FROM file WHERE errand_id = ? AND {condition}"  # noqa: S608 - our own words
        with closing(self._db.execute(query, (errand.errand_id, *values))) as rows:
            return [_entry(*row) for row in rows]

    def hashed(self, errand: Errand, path: bytes, sha256: str) -> None:
        """Its content is known."""
        self._set(errand, path, step=Step.HASHED, sha256=sha256, reason="")

    def move(self, errand: Errand, path: bytes, step: Step, reason: str = "") -> None:
        """To another step."""
        self._set(errand, path, step=step, reason=reason)

    def confirmed(self, errand: Errand, path: bytes, media_id: str) -> None:
        """The gateway was asked, and has it."""
        self._set(errand, path, step=Step.CONFIRMED, media_id=media_id, upload_id=None, reason="")

    def begun(self, errand: Errand, path: bytes, upload_id: str | None) -> None:
        """Its upload in pieces has this id; None: it has none any more."""
        self._set(errand, path, upload_id=upload_id)

    def fault(self, errand: Errand, path: bytes, reason: str) -> None:
        """Sending it failed, for a reason of its own; the digest is asked for again first."""
        self._db.execute(
            "UPDATE file SET step = ?, reason = ?, faults = faults + 1, upload_id = NULL"
            " WHERE (errand_id, path) = (?, ?)",
            (Step.HASHED, reason, errand.errand_id, path),
        )

    def removed(self, errand: Errand, path: bytes) -> None:
        """It lies here no more."""
        self._set(errand, path, source=REMOVED)

    def kept(self, errand: Errand, path: bytes, reason: str) -> None:
        """It cannot be removed; it is tried again when the uploader starts again."""
        self._set(errand, path, source=KEPT, reason=reason)

    def _set(self, errand: Errand, path: bytes, **values: object) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(
            f"UPDATE file SET {names} WHERE (errand_id, path) = (?, ?)",  # noqa: S608 - our own names
            (*values.values(), errand.errand_id, path),
        )

    def is_on_its_way(self, errand: Errand, sha256: str) -> bool:
        """Whether another file of this content was sent from here: a second time would make a duplicate."""
        found = self._db.execute(
            "SELECT 1 FROM file WHERE errand_id = ? AND sha256 = ? AND step IN (?, ?) LIMIT 1",
            (errand.errand_id, sha256, Step.SENT, Step.CONFIRMED),
        )
        return found.fetchone() is not None

    def forget_refusals(self, errand: Errand) -> None:
        """Try again what the gateway refused."""
        self._db.execute(
            "UPDATE file SET step = ?, faults = 0 WHERE errand_id = ? AND step = ?",
            (Step.HASHED, errand.errand_id, Step.REFUSED),
        )

    def counts(self, errand: Errand) -> dict[Step, tuple[int, int]]:
        """Files and bytes at each step."""
        found = self._db.execute(
            "SELECT step, COUNT(*), SUM(bytes) FROM file WHERE errand_id = ? GROUP BY step", (errand.errand_id,)
        )
        return {Step(step): (files, size) for step, files, size in found}


def _entry(path: bytes, size: int, mtime_ns: int, step: str, *rest: Any) -> Entry:
    return Entry(path, size, mtime_ns, Step(step), *rest)


def journal_fault(error: Exception, path: Path) -> Stop:
    """In words that say what to do."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if name == "SQLITE_FULL" or getattr(error, "errno", None) == 28:
        advice = "its disk is full; make room there, or keep the journal elsewhere with --journal"
    elif name in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
        advice = "it is damaged; move it away: a new one asks the gateway what it has, so nothing is lost or sent twice"
    else:
        advice = "keep it where this user may write, with --journal"
    return Stop(Exit.JOURNAL, f"the journal {path} cannot be kept ({error}): {advice}")
