"""The journal: what it keeps, when a file has settled, and what it says when it cannot be kept."""

import sqlite3
from pathlib import Path

import pytest

from varanger.client.field.boot_clock import Moment
from varanger.client.field.ends import Exit, Stop
from varanger.client.field.journal import Journal, Step, journal_fault
from varanger.client.field.lock import alone_with

OLD_NS = 1_000_000_000_000_000_000
WALL_NS = 1_700_000_000_000_000_000
SETTLE_S = 5.0


def at(seconds: float, boot: str = "one", wall_ns: int = WALL_NS) -> Moment:
    return Moment(boot, seconds, wall_ns + int(seconds * 1e9))


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def errand(journal):
    return journal.errand(Path("/card"), "http://gateway", "tundra", "north-1")


def settled(journal, errand, now, **options):
    found = journal.settled(errand, now, SETTLE_S, limit=10, **{"newest_first": False, **options})
    return [entry.path for entry in found]


def test_a_file_rests_before_it_is_taken(journal, errand):
    journal.look_at(errand, [(b"a", 10, OLD_NS)], at(100))
    assert settled(journal, errand, at(104)) == []
    journal.look_at(errand, [(b"a", 11, OLD_NS)], at(104))
    assert settled(journal, errand, at(108)) == [], "it grew"
    journal.look_at(errand, [(b"a", 11, OLD_NS)], at(108))
    assert settled(journal, errand, at(109)) == [b"a"]


def test_a_file_written_just_now_by_its_own_date_waits(journal, errand):
    now = at(200)
    journal.look_at(errand, [(b"a", 10, now.wall_ns - 1_000_000_000)], at(100))
    assert settled(journal, errand, now) == []
    assert settled(journal, errand, at(205)) == [b"a"]


def test_a_date_in_the_future_holds_nothing_back(journal, errand):
    """The clock of a Raspberry Pi wakes up years behind its camera's."""
    journal.look_at(errand, [(b"a", 10, WALL_NS + 10**18)], at(100))
    assert settled(journal, errand, at(105)) == [b"a"]


def test_a_clock_that_jumps_ahead_does_not_make_a_file_old(journal, errand):
    journal.look_at(errand, [(b"a", 10, WALL_NS)], at(100))
    assert settled(journal, errand, at(101, wall_ns=WALL_NS + 10**18)) == []


def test_after_a_power_cut_the_rest_begins_anew(journal, errand):
    journal.look_at(errand, [(b"a", 10, OLD_NS)], at(1000))
    assert settled(journal, errand, at(2000, "two")) == [], "its seconds are of another start of the machine"
    journal.look_at(errand, [(b"a", 10, OLD_NS)], at(20, "two"))
    assert settled(journal, errand, at(25, "two")) == [b"a"]


def test_the_order_is_by_date(journal, errand):
    journal.look_at(errand, [(b"b", 1, 2), (b"a", 1, 1), (b"c", 1, 3)], at(0))
    assert settled(journal, errand, at(10)) == [b"a", b"b", b"c"]
    assert settled(journal, errand, at(10), newest_first=True) == [b"c", b"b", b"a"]


def test_what_was_queued_when_the_power_went_is_asked_for_again(journal, errand, tmp_path):
    journal.look_at(errand, [(b"a", 1, 1), (b"b", 1, 2)], at(0))
    for path in (b"a", b"b"):
        journal.hashed(errand, path, path.hex())
    journal.move(errand, b"a", Step.QUEUED)
    journal.move(errand, b"b", Step.SENT)
    again = journal.errand(Path("/card"), "http://gateway", "tundra", "north-1")
    assert again == errand
    assert [entry.step for entry in journal.at(errand, *Step)] == [Step.HASHED, Step.SENT]


def test_a_changed_file_begins_anew_and_one_that_comes_back_goes_on(journal, errand):
    journal.look_at(errand, [(b"a", 1, 1), (b"b", 1, 1)], at(0))
    for path in (b"a", b"b"):
        journal.hashed(errand, path, "0" * 64)
    journal.confirmed(errand, b"a", "m")
    journal.move(errand, b"b", Step.GONE)
    journal.look_at(errand, [(b"a", 2, 1), (b"b", 1, 1)], at(1))
    [a], [b] = journal.of(errand, b"a"), journal.of(errand, b"b")
    assert (a.step, a.sha256, a.media_id) == (Step.SEEN, None, None)
    assert (b.step, b.sha256) == (Step.HASHED, "0" * 64)


def test_each_destination_has_its_own_words(journal, errand):
    other = journal.errand(Path("/card"), "http://gateway", "tundra", "south-1")
    journal.look_at(errand, [(b"a", 1, 1)], at(0))
    assert journal.counts(other) == {}
    assert journal.counts(errand) == {Step.SEEN: (1, 1)}
    assert journal.errands(Path("/card")) == [errand, other]


def test_names_are_kept_as_the_disk_has_them(journal, errand):
    journal.look_at(errand, [(b"b\xe6r.jpg", 1, 1)], at(0))
    assert journal.at(errand, Step.SEEN)[0].path == b"b\xe6r.jpg"


def test_it_is_on_the_disk_at_every_step(journal, tmp_path):
    [(mode,)] = journal._db.execute("PRAGMA journal_mode")
    [(synchronous,)] = journal._db.execute("PRAGMA synchronous")
    assert (mode, synchronous) == ("wal", 2)


def test_a_full_disk_is_told_with_its_fix(journal, errand, tmp_path):
    [(pages,)] = journal._db.execute("PRAGMA page_count")
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError) as caught:
        journal.look_at(errand, [(b"x" * 500 + b"%d" % n, 1, 1) for n in range(100)], at(0))
    stop = journal_fault(caught.value, tmp_path / "journal.sqlite")
    assert stop.status is Exit.JOURNAL
    assert "disk is full; make room" in str(stop)


def test_a_damaged_journal_is_told_with_its_fix(tmp_path):
    (tmp_path / "journal.sqlite").write_bytes(b"this is no database, however one looks at it" * 100)
    with pytest.raises(Stop, match="damaged; move it away"):
        Journal(tmp_path / "journal.sqlite")


def test_a_newer_journal_is_left_alone(tmp_path):
    path = tmp_path / "journal.sqlite"
    with Journal(path) as opened:
        opened._db.execute("PRAGMA user_version = 9")
    with pytest.raises(Stop, match="install the newer one"):
        Journal(path)


def test_a_second_process_is_refused_and_told_who(tmp_path):
    path = tmp_path / "state" / "journal.sqlite"
    with alone_with(path), pytest.raises(Stop, match=r"another varanger-field \(process \d+\)"), alone_with(path):
        pass
    with alone_with(path):
        pass


def test_a_removed_file_that_is_there_again_is_a_new_one(journal, errand):
    """Its removal was undone by a power cut; or a camera that lost its clock wrote the same name, size and date."""
    journal.look_at(errand, [(b"a", 10, OLD_NS)], at(100))
    journal.hashed(errand, b"a", "ab" * 32)
    journal.confirmed(errand, b"a", "a media id")
    journal.removed(errand, b"a")
    journal.look_at(errand, [(b"a", 10, OLD_NS)], at(200))
    assert settled(journal, errand, at(206)) == [b"a"]
    assert journal.to_delete(errand, b"", 10) == []
