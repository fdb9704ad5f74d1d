"""`varanger-field` against a gateway over HTTP: the small one that keeps to the contract, and the real one."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tests.integration.client.field_runs import NAMES, expected, rows, write
from tests.integration.client.gateways import DEPLOYMENT, PROJECT

from varanger.client.field.lock import alone_with


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


def test_a_file_that_changes_on_the_way_is_hashed_again(field, fake, card, monkeypatch):
    path = card / NAMES[0]
    changed = []

    def change(method, _path):
        if method == "PUT" and not changed:
            changed.append(1)
            path.write_bytes(b"the camera was still writing it, " * 3)

    before = expected(card)
    fake.refuse = change
    assert field("send", card, fake) == 0
    # Whether the first content was read before the change is a race; what the card holds now must be there either way.
    assert set(expected(card)) <= set(rows(fake)) <= {*before, *expected(card)}


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
