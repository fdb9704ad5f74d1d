"""`varanger-field` where the gateway refuses or is away, and where the card is bad or gone."""

import io
import os

import pytest
from tests.integration.client.field_runs import NAMES, expected, rows, write
from tests.integration.client.gateways import DEPLOYMENT, PROJECT, gateway_of

from varanger.client import VarangerClient
from varanger.client.errors import FileChanged
from varanger.client.field import sending
from varanger.client.field.ends import Exit
from varanger.client.field.errands import Loop
from varanger.client.field.journal import Journal
from varanger.client.field.sending import Manner, Sender
from varanger.client.field.showing import Screen


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


@pytest.mark.parametrize("status", [302, 500, 507, 511, 520])
def test_what_stands_between_is_no_refusal_of_a_file(field, fake, card, status):
    """A hotspot's sign-in page, a proxy's own 5xx: what the gateway itself never said must not give up a file."""
    left = [1]

    def between(method, _path):
        if method == "PUT" and left[0]:
            left[0] -= 1
            return status, {"Location": "http://127.0.0.1:9/sign-in"}
        return None

    fake.refuse = between
    assert field("send", card, fake) == 0
    assert rows(fake) == expected(card)


@pytest.mark.parametrize("asked", ["POST", "PUT"])
def test_what_every_file_would_meet_stops_and_gives_up_none(field, fake, card, asked):
    fake.refuse = lambda method, _: (407, {}) if method == asked else None
    assert field("watch", card, fake) == 3
    assert "the gateway refuses: 407 No: not for you" in field.said
    fake.refuse = lambda *_: None
    assert field("send", card, fake) == 0
    assert rows(fake) == expected(card)


def test_a_file_that_the_gateway_got_more_of_than_it_said_is_gone_on_with(field, fake, card):
    """What a cut request had brought is counted only once the gateway notices the cut: the offset moves by itself."""
    left = [1]

    def late(method, _path):
        if method == "PATCH" and left[0]:
            left[0] -= 1
            [part] = fake.tus.values()
            part.data += (card / NAMES[0]).read_bytes()[:2]

    (card / NAMES[1]).unlink()
    (card / NAMES[2]).unlink()
    fake.refuse = late
    assert field("send", card, fake, "--large", "1") == 0
    assert rows(fake) == expected(card)


def test_a_fault_of_a_file_whose_name_is_no_utf8_can_be_noted(field, fake, card, monkeypatch):
    write(card, {os.fsdecode(b"IMG_\xff.JPG"): b"odd"})
    brought, left = Sender._brought, [1]

    def short(self, entry):
        if entry.path == b"IMG_\xff.JPG" and left[0]:
            left[0] -= 1
            raise FileChanged(f"{os.fsdecode(entry.path)} is shorter than it was")
        return brought(self, entry)

    monkeypatch.setattr(Sender, "_brought", short)
    assert field("send", card, fake) == 0
    assert len(rows(fake)) == 4
