"""`varanger-field` against a gateway over HTTP: the small one that keeps to the contract, and the real one."""

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration.client.bad_link import bad_link
from tests.integration.client.gateways import DEPLOYMENT, PROJECT, FakeGateway, gateway_of

from varanger.client import AsyncVarangerClient, RequestRefused, VarangerClient
from varanger.client.field import sending
from varanger.client.field.ends import Exit
from varanger.client.field.errands import Loop
from varanger.client.field.journal import Journal
from varanger.client.field.lock import alone_with
from varanger.client.field.main import run
from varanger.client.field.sending import Manner, Sender
from varanger.client.field.showing import Screen

OPENAPI = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / "openapi.json").read_text(encoding="utf-8"))
IN_PIECES = ["fake", *(["real"] if "/v1/uploads/tus" in OPENAPI["paths"] else [])]
NAMES = ["DCIM/100RECNX/IMG_0001.JPG", "DCIM/100RECNX/IMG_0002.JPG", "DCIM/101RECNX/IMG_0001.JPG"]


@pytest.fixture(params=["fake", "real"])
def gateway(request, tmp_path):
    with gateway_of(request.param, tmp_path / "gateway") as opened:
        yield opened


@pytest.fixture
def fake(tmp_path):
    with gateway_of("fake", tmp_path) as opened:
        yield opened


@pytest.fixture
def card(tmp_path):
    return write(tmp_path / "card", {name: name.encode() for name in NAMES})


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


class Field:
    """`varanger-field` in this process."""

    def __init__(self, folder, monkeypatch):
        self.journal = folder / "state" / "journal.sqlite"
        self.said = ""
        self._monkeypatch = monkeypatch

    def __call__(self, command, card, gateway=None, *words, key=None):
        more = []
        if command != "status":
            self._monkeypatch.setenv("VARANGER_KEY", key or gateway.key)
            more = ["--url", gateway.url, "--project", PROJECT, "--deployment", DEPLOYMENT, "--settle", "0.05"]
        out = io.StringIO()
        status = run([command, str(card), "--journal", str(self.journal), *more, *words], Screen(out))
        self.said = out.getvalue()
        return status


@pytest.fixture
def field(tmp_path, monkeypatch):
    return Field(tmp_path, monkeypatch)


def rows(gateway):
    return sorted((row.path, row.sha256) for row in gateway.held() if not row.duplicate)


def expected(card):
    files = sorted(path for path in card.rglob("*") if path.is_file() and not path.is_symlink())
    return [(path.relative_to(card).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def test_a_card_is_brought_once(field, gateway, card):
    assert field("send", card, gateway) == 0
    assert rows(gateway) == expected(card)
    assert "confirmed 3 of 3 files" in field.said
    assert field("send", card, gateway) == 0
    assert len(gateway.held()) == 3, "nothing was offered again"
    assert field("status", card) == 0
    assert f"{gateway.url} {PROJECT}/{DEPLOYMENT}" in field.said


def test_a_lost_journal_sends_nothing_twice(field, gateway, card):
    assert field("send", card, gateway) == 0
    field.journal.unlink()
    write(card, {"DCIM/101RECNX/IMG_0002.JPG": b"new"})
    assert field("send", card, gateway) == 0
    assert rows(gateway) == expected(card)
    assert len(gateway.held()) == 4


def test_content_that_is_there_twice_is_sent_once(field, gateway, tmp_path):
    card = write(tmp_path / "card", {"a/1.jpg": b"same", "b/1.jpg": b"same", "b/2.jpg": b"other"})
    assert field("send", card, gateway) == 0
    assert [row.path for row in gateway.held() if row.duplicate] == []
    assert {row.sha256 for row in gateway.held()} == {digest for _, digest in expected(card)}


def test_names_arrive_as_they_are(field, gateway, tmp_path):
    names = ["bær og rød.JPG", "a & b=c?.JPG", "%41+.JPG", "æ/ø/å.jpg"]
    card = write(tmp_path / "card", {name: name.encode() for name in names})
    assert field("send", card, gateway) == 0
    assert rows(gateway) == expected(card)


def test_a_name_that_is_no_utf8_arrives_as_far_as_it_can_be_read(field, gateway, tmp_path):
    card = write(tmp_path / "card", {os.fsdecode(b"b\xe6r.jpg"): b"bear"})
    assert field("send", card, gateway) == 0
    assert [row.path for row in gateway.held()] == ["b?r.jpg"]


def test_an_empty_file_is_the_gateways_to_judge(field, gateway, tmp_path):
    card = write(tmp_path / "card", {"empty.jpg": b""})
    assert field("send", card, gateway) == 0
    assert rows(gateway) == expected(card)


@pytest.mark.parametrize("kind", IN_PIECES)
def test_a_large_file_goes_on_where_the_gateway_stands(field, kind, tmp_path):
    content = random.Random(1).randbytes(9 << 20)
    card = write(tmp_path / "card", {"long.mp4": content, "small.jpg": b"s"})
    with gateway_of(kind, tmp_path / "gateway") as gateway:
        with bad_link(gateway.url, seed=7, cut_share=1.0, longest_life=6 << 20) as link:
            through_it = type("Far", (), {"url": link.url, "key": gateway.key})
            assert field("send", card, through_it, "--large", "1M", "--tries", "100") == 0
            assert link.cuts > 0
        assert rows(gateway) == expected(card)
        if isinstance(gateway, FakeGateway):
            assert sum(end - begin for begin, end in gateway.pieces) == len(content), "no byte was kept twice"
            assert len(gateway.tus) == 1


def test_an_upload_that_has_expired_is_begun_again(field, fake, tmp_path):
    content = random.Random(1).randbytes(9 << 20)
    card = write(tmp_path / "card", {"long.mp4": content})
    refused = []

    def after_the_first_piece(method, _path):
        if method == "PATCH" and fake.pieces and not refused:
            refused.append(method)
            fake.tus.clear()

    fake.refuse = after_the_first_piece
    assert field("send", card, fake, "--large", "1M") == 0
    assert rows(fake) == expected(card)


def test_a_file_that_changes_on_the_way_is_hashed_again(field, fake, card, monkeypatch):
    path = card / NAMES[0]
    changed = []

    def change(method, _path):
        if method == "PUT" and not changed:
            changed.append(1)
            path.write_bytes(b"the camera was still writing it, " * 3)

    fake.refuse = change
    assert field("send", card, fake) == 0
    assert rows(fake) == expected(card)


def test_bytes_damaged_on_the_way_are_sent_again_but_not_for_ever(field, fake, card):
    left = [1]

    def damaged(method, _path):
        if method == "PUT" and left[0]:
            left[0] -= 1
            return 422, {}
        return None

    fake.refuse = damaged
    assert field("send", card, fake) == 0
    assert rows(fake) == expected(card)
    write(card, {"cursed.jpg": b"cursed"})
    left[0] = 1000
    assert field("send", card, fake) == 1
    assert "cursed.jpg is refused: 422" in field.said
    assert left[0] == 997


def test_too_large_is_refused_told_and_tried_again_when_asked_to(field, fake, card):
    fake.refuse = lambda method, _: (413, {}) if method == "PUT" else None
    assert field("send", card, fake) == 1
    assert field.said.count("is refused: 413 No: not for you") == 3
    assert field("status", card) == 1
    assert f"refused {NAMES[0]}: 413 No: not for you" in field.said
    fake.refuse = lambda *_: None
    assert field("send", card, fake) == 1, "not asked for again by itself"
    assert field("send", card, fake, "--retry-refused") == 0
    assert rows(fake) == expected(card)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_a_person_must_mend_stops(field, fake, card, status):
    fake.refuse = lambda *_: (status, {})
    assert field("watch", card, fake) == 3
    assert f"the gateway refuses: {status} No: not for you" in field.said
    assert sum(fake.asked.values()) == 1


def test_the_real_gateway_says_who_is_refused_and_why(field, card, tmp_path):
    with gateway_of("real", tmp_path / "gateway") as gateway:
        assert field("send", card, gateway, key="vk_wrong") == 3
        assert "401" in field.said
        assert field("send", card, gateway, "--deployment", "south-9") == 3
        assert "south-9" in field.said
        assert field("send", card, gateway, "--project", "steppe") == 3


def test_a_busy_gateway_is_left_alone_for_as_long_as_it_says(fake, card, tmp_path):
    left = [(429, {"Retry-After": "30"})]
    fake.refuse = lambda *_: left.pop() if left else None
    slept = []
    with Journal(tmp_path / "journal.sqlite") as journal, VarangerClient(fake.url, fake.key, tries=1) as client:
        errand = journal.errand(card, fake.url, PROJECT, DEPLOYMENT)
        sender = Sender(client, journal, errand, Manner(settle_s=0.0), print)
        loop = Loop(sender, Screen(io.StringIO()), False, 10.0, 3, False, sleep=slept.append)
        assert loop.run() is Exit.ALL_CONFIRMED
    [waited] = slept
    assert 30.25 <= waited <= 30.75
    assert rows(fake) == expected(card)


def test_send_gives_up_and_goes_on_the_next_time(field, fake, card):
    fake.refuse = lambda method, _: (503, {}) if method == "PUT" else None
    assert field("send", card, fake, "--tries", "2") == 6
    assert "given up after 2 tries" in field.said
    assert fake.asked["PUT sha256"] == 2
    assert fake.asked["POST check"] == 2, "asked whether it had arrived before it was sent again"
    fake.refuse = lambda *_: None
    assert field("send", card, fake) == 0
    assert rows(fake) == expected(card)


def test_the_lane_and_the_order(field, fake, card):
    for age, name in enumerate(NAMES):
        os.utime(card / name, ns=(0, 10**18 - age * 10**9))
    assert field("send", card, fake, "--bulk", "--newest-first") == 0
    assert fake.lanes == {"bulk"}
    assert fake.order == NAMES


def test_more_than_a_thousand_known_files_are_asked_for_in_batches(field, fake, tmp_path):
    card = write(tmp_path / "card", {f"{number:04d}.jpg": b"%d" % number for number in range(1001)})
    for path, digest in expected(card):
        fake.accept(path, digest, "live")
    assert field("send", card, fake) == 0
    assert (fake.asked["POST check"], fake.asked["PUT sha256"]) == (2, 0)


def test_sources_stay_unless_told(field, gateway, card):
    assert field("send", card, gateway) == 0
    assert len(expected(card)) == 3


def test_confirmed_sources_are_removed_when_told_to(field, gateway, card):
    (card / "empty").mkdir()
    before = expected(card)
    assert field("send", card, gateway, "--delete-confirmed") == 0
    assert expected(card) == []
    assert (card / "DCIM" / "101RECNX").is_dir()
    assert (card / "empty").is_dir()
    assert rows(gateway) == before
    assert field("send", card, gateway, "--delete-confirmed") == 0


def test_a_source_that_became_another_is_sent_and_not_removed_before(field, fake, card, monkeypatch):
    assert field("send", card, fake) == 0
    path = card / NAMES[0]
    known = path.stat()
    path.write_bytes(bytes(reversed(NAMES[0].encode())))
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    other = hashlib.sha256(path.read_bytes()).hexdigest()
    assert field("send", card, fake, "--delete-confirmed") == 0
    assert (NAMES[0], other) in rows(fake), "same size, same date, other content"
    assert expected(card) == []


def test_nothing_is_removed_that_the_gateway_has_no_more(field, fake, card):
    assert field("send", card, fake) == 0
    fake.first.clear()
    fake.rows.clear()
    before = expected(card)
    fake.refuse = lambda method, _: (503, {}) if method == "PUT" else None
    assert field("send", card, fake, "--delete-confirmed", "--tries", "1") == 6
    assert expected(card) == before
    fake.refuse = lambda *_: None
    assert field("send", card, fake, "--delete-confirmed") == 0
    assert rows(fake) == before


def test_a_card_that_is_taken_out(field, fake, card, tmp_path):
    fake.refuse = lambda method, _: (503, {}) if method == "PUT" else None
    assert field("send", card, fake, "--tries", "1") == 6
    card.rename(tmp_path / "elsewhere")
    assert field("send", card, fake) == 5
    card.mkdir()
    assert field("send", card, fake) == 5, "an empty mount point"
    assert "was the card taken out" in field.said
    card.rmdir()
    (tmp_path / "elsewhere").rename(card)
    fake.refuse = lambda *_: None
    assert field("send", card, fake) == 0
    assert rows(fake) == expected(card)


def test_a_file_that_goes_before_it_was_sent_is_told(field, fake, card):
    fake.refuse = lambda method, _: (503, {}) if method == "PUT" else None
    assert field("send", card, fake, "--tries", "1") == 6
    (card / NAMES[1]).unlink()
    fake.refuse = lambda *_: None
    assert field("send", card, fake) == 1
    assert field("status", card) == 0
    assert f"gone {NAMES[1]}: it is not in the folder any more" in field.said


def test_a_file_that_cannot_be_read_keeps_no_other_back(field, fake, card, monkeypatch):
    measure = sending.measure

    def broken(path):
        if path.name == "IMG_0002.JPG":
            raise OSError(5, "Input/output error")
        return measure(path)

    monkeypatch.setattr(sending, "measure", broken)
    assert field("send", card, fake) == 1
    assert f"{NAMES[1]}: it cannot be read: Input/output error" in field.said
    assert [path for path, _ in rows(fake)] == [NAMES[0], NAMES[2]]
    monkeypatch.undo()


def test_links_and_unfinished_files_are_left_out_and_told(field, fake, card):
    (card / "link.jpg").symlink_to(card / NAMES[0])
    (card / "new.jpg.tmp").write_bytes(b"half")
    assert field("send", card, fake) == 0
    assert "left out: 1 *.tmp and *.part, 1 links" in field.said
    assert len(rows(fake)) == 3


def test_one_at_a_time(field, fake, card):
    with alone_with(field.journal):
        assert field("send", card, fake) == 4
    assert "another varanger-field" in field.said
    assert field("status", card) == 4, "there is no journal yet"


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--project", ""], "--project: none is given"), (["--url", "gateway"], "no address of a gateway")],
)
def test_what_is_missing_is_named(field, fake, card, words, told):
    assert field("send", card, fake, *words) == 2
    assert told in field.said


def test_watch_takes_what_comes_and_ends_when_told(gateway, tmp_path):
    card = write(tmp_path / "card", {"1.jpg": b"one"})
    words = ["watch", str(card), "--url", gateway.url, "--project", PROJECT, "--deployment", DEPLOYMENT]
    words += ["--settle", "0.1", "--every", "0.1", "--journal", str(tmp_path / "journal.sqlite")]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", "from varanger.client.field.main import main; main()", *words],
            env={**os.environ, "VARANGER_KEY": gateway.key},
            stdout=out,
            stderr=out,
        )
    try:
        for number in (2, 3):
            until(lambda number=number: len(gateway.held()) == number - 1, process, log)
            write(card, {f"{number}.jpg": b"%d" % number})
        until(lambda: len(gateway.held()) == 3, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(30)
    assert status == 128 + signal.SIGTERM, log.read_text()
    assert rows(gateway) == expected(card)


def until(condition, process, log):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@pytest.mark.parametrize("kind", IN_PIECES)
async def test_the_sdk_that_awaits_sends_by_digest_and_in_pieces(kind, tmp_path):
    content = random.Random(2).randbytes(9 << 20)
    card = write(tmp_path / "card", {"long.mp4": content, "small.jpg": b"s"})
    (_, long), (_, small) = expected(card)
    with gateway_of(kind, tmp_path / "gateway") as gateway:
        with bad_link(gateway.url, seed=9, cut_share=1.0, longest_life=6 << 20) as link:
            async with AsyncVarangerClient(link.url, gateway.key) as client:
                assert (await client.check(PROJECT, [long, small])).unknown == (long, small)
                offsets = []
                verdict = await client.upload_large(
                    PROJECT, DEPLOYMENT, card / "long.mp4", on_offset=offsets.append, cuts=50
                )
                assert (verdict.verdict, verdict.sha256) == ("accepted", long)
                assert offsets == sorted(offsets)
                assert offsets[-1] == len(content)
                put = await client.put_file(PROJECT, DEPLOYMENT, card / "small.jpg", sha256=small, name="small.jpg")
                assert put.verdict == "accepted"
                known = await client.check(PROJECT, [long, small])
        assert known.media_ids() == {long: verdict.media_id, small: put.media_id}
        assert rows(gateway) == expected(card)


def test_other_bytes_than_promised_are_kept_nowhere(gateway, card):
    with VarangerClient(gateway.url, gateway.key) as client:
        with pytest.raises(RequestRefused, match="422"):
            client.put_file(PROJECT, DEPLOYMENT, card / NAMES[0], sha256="0" * 64, name="x.jpg")
        assert client.check(PROJECT, ["0" * 64]).known == ()
    assert gateway.held() == []
