"""`varanger-field --delete-confirmed`: a source goes only when the gateway has its very content."""

import hashlib
import os

from tests.integration.client.field_runs import NAMES, expected, rows


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
