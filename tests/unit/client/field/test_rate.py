"""The bound on bytes per second, on a clock that only sleeping moves."""

import pytest

from varanger.client.field.rate import RateLimit, parse_rate


class Clock:
    """Time passes by sleeping alone."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds


@pytest.mark.parametrize("text", ["500k", "500K", "512000"])
def test_rates_are_written_as_curl_has_them(text):
    assert parse_rate(text) == 512_000


@pytest.mark.parametrize("text", ["", "fast", "0", "-3k", "5 kB", "1e3"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="500k"):
        parse_rate(text)


def test_the_stream_itself_is_held_back():
    clock = Clock()
    limit = RateLimit(10_000, clock, clock.sleep)
    begin, passed = clock.now, 0
    for piece in limit(iter([b"x" * 65_536] * 3)):
        passed += len(piece)
        assert passed <= 10_000 * (clock.now - begin) + 2_500, "never a quarter of a second ahead"
    assert passed == 3 * 65_536
    assert clock.now - begin == pytest.approx(passed / 10_000, abs=0.25)


def test_bytes_are_the_same_and_two_files_share_the_rate():
    clock = Clock()
    limit = RateLimit(1000, clock, clock.sleep)
    begin = clock.now
    assert b"".join(limit(iter([b"ab" * 400, b"", b"c"]))) == b"ab" * 400 + b"c"
    assert b"".join(limit(iter([b"d" * 999]))) == b"d" * 999
    assert clock.now - begin > 1.5


def test_a_pause_is_not_saved_up():
    clock = Clock()
    limit = RateLimit(1000, clock, clock.sleep)
    list(limit(iter([b"x" * 1000])))
    clock.now += 3600
    begin = clock.now
    list(limit(iter([b"x" * 1000])))
    assert clock.now - begin >= 0.75
