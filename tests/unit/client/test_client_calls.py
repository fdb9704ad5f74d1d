"""Each call: what is asked for, and what is made of the answer."""

import httpx
import pytest

from varanger.client import GatewayAway, RequestRefused, VarangerClient

DESIGN = {"seed": 1, "overall": 60}

CALLS = {
    "create_project": (lambda c: c.create_project("p", "Title"), "POST", "/v1/projects"),
    "put_deployment": (lambda c: c.put_deployment("p", "d", location_id="l"), "PUT", "/v1/projects/p/deployments/d"),
    "stats": (lambda c: c.stats("p"), "GET", "/v1/projects/p/stats"),
    "one_media": (lambda c: c.one_media("m"), "GET", "/v1/media/m"),
    "release_from_quarantine": (
        lambda c: c.release_from_quarantine("m", deployment="d", accept_as_is=True),
        "POST",
        "/v1/quarantine/m/release",
    ),
    "request_round": (lambda c: c.request_round("p", DESIGN), "POST", "/v1/projects/p/qc/rounds"),
    "round": (lambda c: c.round("r"), "GET", "/v1/qc/rounds/r"),
}
BODIES = {
    "create_project": {"project_id": "p", "title": "Title"},
    "put_deployment": {"location_id": "l"},
    "release_from_quarantine": {"deployment": "d", "accept_as_is": True},
    "request_round": {"design": DESIGN},
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_asks_for_its_path_with_the_key(client, gateway, name):
    call, method, path = CALLS[name]
    gateway.answer = lambda _: httpx.Response(200, json={"answer": name})
    assert call(client) == {"answer": name}
    [request] = gateway.requests
    assert (request.method, request.url.path, request.headers["authorization"]) == (method, path, "Bearer vk_key")
    if name in BODIES:
        assert gateway.last_json == BODIES[name]


def test_reviews_are_sent_together(client, gateway):
    gateway.answer = lambda _: httpx.Response(201, json={"reviews": [{"review_id": "1"}, {"review_id": "2"}]})
    answers = [{"media_id": "a", "observer": "anna", "observations": []}, {"media_id": "b", "observer": "anna"}]
    assert [each["review_id"] for each in client.review("p", iter(answers))] == ["1", "2"]
    assert gateway.last_json == {"reviews": answers}


@pytest.mark.parametrize("kind", ["media", "tasks"])
def test_pages_are_read_to_the_last(client, gateway, kind):
    pages = [
        {"items": [{"n": 1}, {"n": 2}], "next": "c1"},
        {"items": [], "next": 7},
        {"items": [{"n": 3}], "next": None},
    ]
    gateway.next = [httpx.Response(200, json=page) for page in pages]
    found = client.media("p", state="media", private=False) if kind == "media" else client.tasks("r", observer="anna")
    assert next(found) == {"n": 1}
    assert len(gateway.requests) == 1, "a page is asked for when it is needed"
    assert [each["n"] for each in found] == [2, 3]
    asked = [dict(request.url.params) for request in gateway.requests]
    filters = {"project": "p", "state": "media", "private": "false"} if kind == "media" else {"observer": "anna"}
    assert asked == [filters, filters | {"cursor": "c1"}, filters | {"cursor": "7"}]


def test_the_quarantine_is_read_page_by_page(client, gateway):
    pages = [{"items": [{"n": 1}], "next": "c1"}, {"items": [{"n": 2}], "next": None}]
    gateway.next = [httpx.Response(200, json=page) for page in pages]
    assert [each["n"] for each in client.quarantine("p", reason="wrong_type")] == [1, 2]
    assert {request.url.path for request in gateway.requests} == {"/v1/projects/p/quarantine"}
    asked = [dict(request.url.params) for request in gateway.requests]
    assert asked == [{"reason": "wrong_type"}, {"reason": "wrong_type", "cursor": "c1"}]


def test_no_name_becomes_another_path(client, gateway):
    gateway.answer = lambda _: httpx.Response(200, json={})
    client.stats("a/../b?c#d é")
    assert gateway.requests[0].url.raw_path == b"/v1/projects/a%2F..%2Fb%3Fc%23d%20%C3%A9/stats"


def test_the_table_appears_whole(client, gateway, tmp_path):
    def cut():
        yield b"locality,site\n"
        raise httpx.RemoteProtocolError("peer closed the connection")

    table = tmp_path / "table.csv"
    gateway.next = [httpx.Response(200, stream=Chunks(cut())), httpx.Response(200, content=b"locality,site\na,b\n")]
    client.final_table("p", table)
    assert table.read_text() == "locality,site\na,b\n"
    assert [request.url.path for request in gateway.requests] == ["/v1/projects/p/exports/final-table"] * 2
    assert list(tmp_path.iterdir()) == [table]


def test_a_refused_table_leaves_the_old_one(client, gateway, refusal, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("old")
    gateway.next = [refusal(404, "there is no project 'p'")]
    with pytest.raises(RequestRefused, match="404 No: there is no project 'p'"):
        client.final_table("p", table)
    assert table.read_text() == "old"
    assert list(tmp_path.iterdir()) == [table]


class Chunks(httpx.SyncByteStream):
    def __init__(self, chunks):
        self._chunks = chunks

    def __iter__(self):
        yield from self._chunks


def test_problem_details_become_the_error(client, gateway, refusal):
    gateway.next = [refusal(422, "time_zone: 'UTC' is no IANA time zone")]
    with pytest.raises(RequestRefused) as caught:
        client.put_deployment("p", "d")
    assert (caught.value.status, caught.value.title) == (422, "No")
    assert caught.value.detail == "time_zone: 'UTC' is no IANA time zone"


@pytest.mark.parametrize("body", [b"<html>", b'"text"', b"[]", b"", b"\xff"])
def test_an_error_without_problem_details_is_still_told(client, gateway, body):
    gateway.next = [httpx.Response(404, content=body)]
    with pytest.raises(RequestRefused, match=r"^404 Not Found$"):
        client.stats("p")


def test_a_sign_in_page_is_not_taken_for_an_answer(client, gateway):
    gateway.next = [httpx.Response(200, html="<h1>Welcome to the hut's network</h1>")]
    with pytest.raises(GatewayAway, match="sign-in page"):
        client.stats("p")
    gateway.next = [httpx.Response(302, headers={"location": "http://login.example/"})]
    with pytest.raises(RequestRefused, match="302"):
        client.stats("p")


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://gateway", ""])
def test_what_is_no_address_is_refused_at_once(url):
    with pytest.raises(ValueError, match="http://127"):
        VarangerClient(url, "key")


def test_a_request_is_tried_at_least_once():
    with pytest.raises(ValueError, match="at least once"):
        VarangerClient("http://gateway", "key", tries=0)
