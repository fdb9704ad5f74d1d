"""One errand's way through the journal's steps. Each stage may be cut off anywhere and done again."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from varanger.client.api import VarangerClient
from varanger.client.calls.uploads import MOST_DIGESTS, Through, unchanged
from varanger.client.errors import FileChanged, GatewayAway, RequestRefused, UploadCorrupted
from varanger.client.field.boot_clock import Moment, now
from varanger.client.field.ends import Exit, Stop
from varanger.client.field.journal import Entry, Errand, Journal, Step
from varanger.client.field.looking import must_be_there, shown
from varanger.client.field.reading import measure, path_of
from varanger.client.models.uploads import FileVerdict
from varanger.client.uploads.files import name_of

DAMAGED_ON_THE_WAY = frozenset({400, 422, 460})
"""Other bytes came than were promised (460 is tus's word for it), or the name is refused: a second look tells."""
ABOUT_THE_FILE = DAMAGED_ON_THE_WAY | {413, 414, 431}
"""Or it, or its name, is too long. Any other refusal would meet every file."""
MOST_FAULTS = 3
HASHED_AT_ONCE_BYTES = 256 << 20
"""Then what is hashed is sent before more is hashed, so that the first file does not wait for the whole card."""


@dataclass(frozen=True)
class Manner:
    """How files are sent."""

    lane: str = "live"
    newest_first: bool = False
    settle_s: float = 5.0
    large_bytes: int = 16 << 20
    """Larger files go in pieces, and are gone on with after a cut."""
    through: Through = unchanged


@dataclass
class Sender:
    """Moves files from step to step.

    Every stage raises GatewayAway where the link is gone: nothing is lost by calling it again later. It raises Stop
    for what a person must mend.
    """

    client: VarangerClient
    journal: Journal
    errand: Errand
    manner: Manner
    say: Callable[[str], None]
    moved: Callable[[], None] = lambda: None
    """Called whenever a file or a part of one got somewhere."""
    clock: Callable[[], Moment] = now
    gone: int = 0
    """Files that were seen and were no more when they were to be read."""

    def hash_some(self) -> int:
        """Digests of files that have settled; of how many."""
        entries = self.journal.settled(
            self.errand,
            self.clock(),
            self.manner.settle_s,
            newest_first=self.manner.newest_first,
            limit=MOST_DIGESTS,
        )
        hashed, size = 0, 0
        for entry in entries:
            if size and size + entry.bytes > HASHED_AT_ONCE_BYTES:
                break
            hashed += self._hash(entry)
            size += entry.bytes
        return hashed

    def _hash(self, entry: Entry) -> bool:
        try:
            found = measure(path_of(self.errand.folder, entry))
        except OSError as error:
            self._not_readable(entry, error)
            return False
        if found.is_what(entry):
            self.journal.hashed(self.errand, entry.path, found.sha256)
        else:
            self.journal.changed(self.errand, entry.path, found.bytes, found.mtime_ns, self.clock())
        return found.is_what(entry)

    def _not_readable(self, entry: Entry, error: OSError) -> None:
        must_be_there(self.errand.folder)
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            self.gone += 1
            self.journal.move(self.errand, entry.path, Step.GONE, "it is not in the folder any more")
            return
        reason = f"it cannot be read: {error.strerror or error}"
        if reason != entry.reason:
            self.say(f"{shown(entry.path)}: {reason}")
        self.journal.unreadable(self.errand, entry.path, reason, self.clock())

    def ask(self, *steps: Step) -> int:
        """Ask which contents the gateway has: those are confirmed, the others queued. How many were asked for."""
        asked = 0
        while entries := self.journal.at(self.errand, *steps, limit=MOST_DIGESTS):
            digests = list(dict.fromkeys(str(entry.sha256) for entry in entries))
            with stopped_by_refusals():
                media_ids = self.client.check(self.errand.project, digests).media_ids()
            with self.journal.together():
                for entry in entries:
                    self._asked(entry, media_ids.get(str(entry.sha256)))
            asked += len(entries)
        return asked

    def _asked(self, entry: Entry, media_id: str | None) -> None:
        if media_id is not None:
            self.journal.confirmed(self.errand, entry.path, media_id)
            self.moved()
        elif entry.step is not Step.SENT:
            self.journal.move(self.errand, entry.path, Step.QUEUED, entry.reason)
        else:
            self._fault(entry, "the gateway took it and does not have it")

    def send_some(self, enough: Callable[[], bool]) -> int:
        """Send what is queued until there is no more, or `enough`; how many."""
        sent = 0
        while entries := self.journal.at(self.errand, Step.QUEUED, newest_first=self.manner.newest_first, limit=100):
            for entry in entries:
                self._send(entry)
                sent += 1
                if enough():
                    return sent
        return sent

    def _send(self, entry: Entry) -> None:
        if self.journal.is_on_its_way(self.errand, str(entry.sha256)):
            self.journal.move(self.errand, entry.path, Step.SENT)
            return
        try:
            with stopped_by_refusals(but=ABOUT_THE_FILE):
                verdict = self._brought(entry)
        except GatewayAway:
            self.journal.move(self.errand, entry.path, Step.HASHED)  # it may have arrived all the same
            raise
        except RequestRefused as refused:
            self._refused(entry, refused)
        except (FileChanged, UploadCorrupted) as error:
            self._look_again(entry, shown(os.fsencode(str(error))))  # it names the file, as the disk does
        except OSError as error:
            self._not_readable(entry, error)
        else:
            if verdict.verdict == "rejected" or verdict.sha256 != entry.sha256:
                self._fault(entry, verdict.reason or f"the gateway has other bytes: sha256 {verdict.sha256}")
            else:
                self.journal.move(self.errand, entry.path, Step.SENT)
                self.moved()

    def _brought(self, entry: Entry) -> FileVerdict:
        file, errand, furthest = path_of(self.errand.folder, entry), self.errand, -1

        def reached(offset: int) -> None:
            nonlocal furthest
            if -1 < furthest < offset:
                self.moved()
            furthest = offset

        name = name_of(file, errand.folder)
        if entry.bytes <= self.manner.large_bytes:
            return self.client.put_file(
                errand.project,
                errand.deployment,
                file,
                sha256=str(entry.sha256),
                name=name,
                lane=self.manner.lane,
                through=self.manner.through,
            )
        return self.client.upload_large(
            errand.project,
            errand.deployment,
            file,
            name=name,
            sha256=entry.sha256,
            lane=self.manner.lane,
            upload_id=entry.upload_id,
            on_begun=lambda upload_id: self.journal.begun(errand, entry.path, upload_id),
            on_offset=reached,
            through=self.manner.through,
            cuts=1,
        )

    def _refused(self, entry: Entry, refused: RequestRefused) -> None:
        if refused.status in DAMAGED_ON_THE_WAY:
            self._look_again(entry, str(refused))
        else:
            self._give_up(entry, str(refused))

    def _look_again(self, entry: Entry, reason: str) -> None:
        """Something was wrong with the bytes: has the file changed, or was it the way?"""
        self._hash(entry)
        [again] = self.journal.of(self.errand, entry.path)
        if again.step is Step.HASHED and again.sha256 == entry.sha256:
            self._fault(entry, reason)

    def _fault(self, entry: Entry, reason: str) -> None:
        if entry.faults + 1 >= MOST_FAULTS:
            self._give_up(entry, reason)
        else:
            self.journal.fault(self.errand, entry.path, reason)

    def _give_up(self, entry: Entry, reason: str) -> None:
        self.say(f"{shown(entry.path)} is refused: {reason}")
        self.journal.move(self.errand, entry.path, Step.REFUSED, reason)


@contextmanager
def stopped_by_refusals(but: Collection[int] = ()) -> Iterator[None]:
    """What no other file would fare better with ends all. `but`: statuses that say something of one file alone."""
    try:
        yield
    except RequestRefused as refused:
        if refused.status in but:
            raise
        raise Stop(Exit.NOT_ALLOWED, f"the gateway refuses: {refused}") from refused
