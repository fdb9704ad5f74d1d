"""Trying again: when, how long to wait, and when not."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from varanger.client import GatewayAway, RequestRefused
from varanger.client.patience import Tries, retry_after_s

STATES = ("media", "duplicate", "quarantined", "failed", "pending")
GOOD = {"received": 1, **dict.fromkeys(STATES, 0), "pending": 1}
LOST = [httpx.ReadTimeout("no answer"), httpx.RemoteProtocolError("cut"), httpx.WriteError("broken pipe")]
NEVER_THERE = [httpx.ConnectError("refused"), httpx.ConnectTimeout("no route")]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 507, 511, 520])
def test_a_busy_gateway_is_asked_again(client, gateway, refusal, status):
    gateway.next = [refusal(status), refusal(status), httpx.Response(200, json=GOOD)]
    assert client.stats("p").received == 1
    assert len(gateway.requests) == 3
    assert 0.25 <= gateway.slept[0] <= 0.75
    assert 0.5 <= gateway.slept[1] <= 1.5


@pytest.mark.parametrize("fault", LOST + NEVER_THERE, ids=lambda fault: type(fault).__name__)
def test_a_cut_connection_is_tried_again(client, gateway, fault):
    gateway.next = [fault, httpx.Response(200, json=GOOD)]
    assert client.stats("p").received == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 501])
def test_a_refusal_is_final(client, gateway, refusal, status):
    gateway.next = [refusal(status)]
    with pytest.raises(RequestRefused) as caught:
        client.stats("p")
    assert caught.value.status == status
    assert gateway.slept == []


def test_giving_up_says_what_the_last_try_met(client, gateway, refusal):
    gateway.next = [httpx.ConnectError("refused"), refusal(503), refusal(503), refusal(503, "the store is away")]
    with pytest.raises(GatewayAway, match=r"4 tries; the last: 503 No: the store is away"):
        client.stats("p")
    assert len(gateway.slept) == 3, "nobody waits after the last try"


def test_retry_after_is_waited_and_a_little_more(client, gateway, refusal):
    gateway.next = [refusal(429, retry_after="30"), httpx.Response(200, json=GOOD)]
    client.stats("p")
    [waited] = gateway.slept
    assert 30.25 <= waited <= 30.75


def test_pauses_grow_to_a_limit_and_differ():
    def waits():
        tries = Tries(15, repeatable=True)
        return [tries.after(httpx.Response(503)) for _ in range(14)]

    first, second = waits(), waits()
    assert all(0.5 <= wait / min(0.5 * 2**number, 60) <= 1.5 for number, wait in enumerate(first))
    assert all(one != other for one, other in zip(first, second, strict=True)), "gateways do not come back at once"


def asked_for(value, **headers):
    given = httpx.Headers({"retry-after": value, **headers}, encoding="latin-1")
    return retry_after_s(given)


def test_retry_after_as_a_date():
    in_a_minute = datetime.now(UTC) + timedelta(seconds=60)
    assert 50 < asked_for(format_datetime(in_a_minute, usegmt=True)) <= 60
    assert asked_for("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert asked_for("Wed, 21 Oct 2015 07:28:00 -0000") == 0


def test_a_date_is_read_by_the_gateways_clock():
    """A Raspberry Pi without a clock of its own may wake up in 1970."""
    assert asked_for("Wed, 21 Oct 2015 07:28:30 GMT", date="Wed, 21 Oct 2015 07:28:00 GMT") == 30


def test_what_retry_after_cannot_mean():
    for nothing in ("", "soon", "-5", "1.5", "²"):
        assert asked_for(nothing) == 0
    assert asked_for("86400") == 600, "a typing error in a proxy must not stop a field station for a day"


ROUND = {"round_id": "r", "project_id": "p", "state": "requested", "requested_at": "2026-06-01T10:00:00Z"}


@pytest.mark.parametrize("fault", [*LOST, *NEVER_THERE, 429, 503], ids=str)
def test_a_round_whose_answer_was_lost_is_asked_for_again_as_the_same(client, gateway, refusal, fault):
    gateway.next = [refusal(fault) if isinstance(fault, int) else fault, httpx.Response(202, json=ROUND)]
    assert client.request_round("p", {}).round_id == "r"
    first, second = (request.headers["idempotency-key"] for request in gateway.requests)
    assert first == second


def test_two_rounds_are_two(client, gateway):
    gateway.next = [httpx.Response(202, json=ROUND), httpx.Response(202, json=ROUND)]
    client.request_round("p", {})
    client.request_round("p", {})
    assert len({request.headers["idempotency-key"] for request in gateway.requests}) == 2


def test_what_is_in_progress_is_asked_again_and_what_exists_is_not(client, gateway, refusal):
    gateway.next = [refusal(409, "in progress", retry_after="1"), httpx.Response(202, json=ROUND)]
    assert client.request_round("p", {}).round_id == "r"
    gateway.next = [refusal(409, "there is a project 'p' already")]
    with pytest.raises(RequestRefused, match="already"):
        client.create_project("p")


def test_a_request_that_must_not_be_repeated_is_only_sent_again_when_nothing_was_done():
    with pytest.raises(GatewayAway, match="may be done or not"):
        Tries(5, repeatable=False).after(LOST[0])
    assert Tries(5, repeatable=False).after(NEVER_THERE[0]) > 0


def test_a_wrong_clock_is_thought_of():
    fault = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate is not yet valid")
    with pytest.raises(GatewayAway, match="clock"):
        Tries(1, repeatable=True).after(fault)
