"""The headers that dead letters and retries carry."""

from types import SimpleNamespace

import pytest

from varanger.common.adapters import bus_headers
from varanger.common.adapters.amqp_consumer import read_headers
from varanger.common.topology import DEAD_LETTERS


@pytest.mark.parametrize(
    ("headers", "attempt"),
    [({}, 1), ({"x-attempt": "3"}, 3), ({"x-attempt": "0"}, 1), ({"x-attempt": "-2"}, 1), ({"x-attempt": "many"}, 1)],
)
def test_an_attempt_is_read_leniently(headers, attempt):
    assert bus_headers.read_attempt(headers, "qc") == attempt


def test_dead_letters_count_their_own_tries():
    headers = {"x-attempt": "4", "x-reason": "no"}
    assert bus_headers.read_attempt(headers, DEAD_LETTERS) == 1
    again = bus_headers.for_retry(headers, DEAD_LETTERS, 1)
    assert bus_headers.read_attempt(again, DEAD_LETTERS) == 2
    assert again["x-attempt"] == "4"


def message(**headers):
    return SimpleNamespace(headers=headers, message_id="m1")


def test_a_brokers_own_headers_are_not_ours():
    """RabbitMQ 4 adds text headers of its own; a copy must not carry them on."""
    given = {"x-first-death-queue": "retry.5s", "x-last-death-reason": "expired", "x-delivery-count": 3, "x-note": "n"}
    assert read_headers(message(**given), "qc") == {"x-note": "n"}


def test_a_dead_letter_of_the_broker_is_told_in_our_words():
    deaths = [
        {"reason": "delivery_limit", "queue": "ingest.live", "count": 1},
        {"reason": "expired", "queue": "retry.5s", "count": 1},
    ]
    assert read_headers(message(**{"x-death": deaths, "x-attempt": "2"}), DEAD_LETTERS) == {
        "x-reason": "delivery_limit",
        "x-queue": "ingest.live",
        "x-attempt": "2",
        "x-message-id": "m1",
    }


def test_what_a_consumer_said_stands_before_what_the_broker_knows():
    """A dead letter that waited in a retry queue has an x-death too."""
    given = {"x-reason": "no", "x-queue": "qc", "x-death": [{"reason": "rejected", "queue": "other"}]}
    assert read_headers(message(**given), DEAD_LETTERS) == {"x-reason": "no", "x-queue": "qc"}


def test_a_dead_letter_without_a_history_is_left_as_it_is():
    assert read_headers(message(), DEAD_LETTERS) == {}
