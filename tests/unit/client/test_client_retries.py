"""Trying again: when, how long to wait, and when not."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from varanger.client import GatewayAway, RequestRefused
from varanger.client.transport import retry_after_s, send_until_answered

GOOD = {"received": 1}
LOST = [httpx.ReadTimeout("no answer"), httpx.RemoteProtocolError("cut"), httpx.WriteError("broken pipe")]
NEVER_THERE = [httpx.ConnectError("refused"), httpx.ConnectTimeout("no route")]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_gateway_is_asked_again(client, gateway, refusal, status):
    gateway.next = [refusal(status), refusal(status), httpx.Response(200, json=GOOD)]
    assert client.stats("p") == GOOD
    assert len(gateway.requests) == 3
    assert 0.25 <= gateway.slept[0] <= 0.75
    assert 0.5 <= gateway.slept[1] <= 1.5


@pytest.mark.parametrize("fault", LOST + NEVER_THERE, ids=lambda fault: type(fault).__name__)
def test_a_cut_connection_is_tried_again(client, gateway, fault):
    gateway.next = [fault, httpx.Response(200, json=GOOD)]
    assert client.stats("p") == GOOD


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
        slept = []
        with pytest.raises(GatewayAway):
            send_until_answered(lambda: httpx.Response(503), tries=15, sleep=slept.append)
        return slept

    first, second = waits(), waits()
    assert all(0.5 <= wait / min(0.5 * 2**number, 60) <= 1.5 for number, wait in enumerate(first))
    assert all(one != other for one, other in zip(first, second, strict=True)), "gateways do not come back at once"


def test_retry_after_as_a_date():
    in_a_minute = datetime.now(UTC) + timedelta(seconds=60)
    assert 50 < retry_after_s(format_datetime(in_a_minute, usegmt=True)) <= 60
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 -0000") == 0


def test_what_retry_after_cannot_mean():
    for nothing in ("", "soon", "-5", "1.5", "²"):
        assert retry_after_s(nothing) == 0
    assert retry_after_s("86400") == 600, "a typing error in a proxy must not stop a field station for a day"


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: type(fault).__name__)
def test_a_round_whose_answer_was_lost_is_not_asked_for_twice(client, gateway, fault):
    gateway.next = [fault]
    with pytest.raises(GatewayAway, match="may be done or not"):
        client.request_round("p", {})
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("fault", [*NEVER_THERE, 429, 503], ids=str)
def test_a_round_that_was_surely_not_made_is_asked_for_again(client, gateway, refusal, fault):
    gateway.next = [refusal(fault) if isinstance(fault, int) else fault, httpx.Response(202, json={"round_id": "r"})]
    assert client.request_round("p", {}) == {"round_id": "r"}
