"""Each call: what is asked for, and what is made of the answer."""

import hashlib
from datetime import UTC, datetime

import httpx
import pytest

from varanger.client import (
    AsyncVarangerClient,
    ClockPoint,
    Drift,
    GatewayAway,
    Offset,
    RequestRefused,
    VarangerClient,
    WrongYear,
    WrongZone,
)

DESIGN = {"seed": 1, "overall": 60}
NOW = "2026-06-01T10:00:00Z"
STATS = {"received": 1, "media": 1, "duplicate": 0, "quarantined": 0, "failed": 0, "pending": 0}
PROJECT = {"project_id": "p", "title": "Title", "release_id": None, "created_at": NOW}
DEPLOYMENT = {"project_id": "p", "deployment_id": "d", "location_id": "l", "clock_correction": None}
ROUND = {"round_id": "r", "project_id": "p", "state": "requested", "requested_at": NOW}
MEDIA = {
    "media_id": "m",
    "project": "p",
    "deployment": "d",
    "name": "n.jpg",
    "original_name": "IMG.JPG",
    "sha256": "0" * 64,
    "bytes": 7,
    "state": "media",
    "received_at": NOW,
}
QUARANTINED = {
    "media_id": "m",
    "project": "p",
    "deployment": "d",
    "original_name": "IMG.JPG",
    "sha256": "0" * 64,
    "bytes": 7,
    "reason": "no_date",
    "quarantined_at": NOW,
}
JOB = {"job_id": "j", "project_id": "p", "kind": "export", "owner": "api", "state": "done", "created_at": NOW}
REVIEW = {
    "review_id": "1",
    "media_id": "m",
    "rank": "own",
    "observer": "anna",
    "observations": [{"taxon": "Vulpes vulpes", "count": 2, "certainty": "certain"}],
    "image_quality": "good",
    "reviewed_at": NOW,
}
LETTER = {"dead_letter_id": "x", "project_id": "p", "queue": "q", "type": "t", "reason": "why", "died_at": NOW}
DATE = datetime(2024, 5, 6, 7, 8, 9)

CALLS = {
    "create_project": (lambda c: c.create_project("p", "Title"), "POST", "/v1/projects", PROJECT),
    "project": (lambda c: c.project("p"), "GET", "/v1/projects/p", PROJECT),
    "projects": (lambda c: c.projects(), "GET", "/v1/projects", [PROJECT]),
    "deployments": (lambda c: c.deployments("p"), "GET", "/v1/projects/p/deployments", [DEPLOYMENT]),
    "deployment": (lambda c: c.deployment("p", "d"), "GET", "/v1/projects/p/deployments/d", DEPLOYMENT),
    "put_deployment": (
        lambda c: c.put_deployment("p", "d", location_id="l"),
        "PUT",
        "/v1/projects/p/deployments/d",
        DEPLOYMENT,
    ),
    "patch_deployment": (
        lambda c: c.patch_deployment("p", "d", clock_correction=Drift((ClockPoint(DATE, DATE),))),
        "PATCH",
        "/v1/projects/p/deployments/d",
        DEPLOYMENT,
    ),
    "stats": (lambda c: c.stats("p"), "GET", "/v1/projects/p/stats", STATS),
    "one_media": (lambda c: c.one_media("m"), "GET", "/v1/media/m", MEDIA),
    "patch_media": (lambda c: c.patch_media("m", captured_at=DATE), "PATCH", "/v1/media/m", MEDIA),
    "release_from_quarantine": (
        lambda c: c.release_from_quarantine("m", deployment="d", captured_at=DATE),
        "POST",
        "/v1/quarantine/m/release",
        QUARANTINED,
    ),
    "request_round": (lambda c: c.request_round("p", DESIGN), "POST", "/v1/projects/p/qc/rounds", ROUND),
    "round": (lambda c: c.round("r"), "GET", "/v1/qc/rounds/r", ROUND),
    "rounds": (lambda c: c.rounds("p"), "GET", "/v1/projects/p/qc/rounds", [ROUND]),
    "jobs": (lambda c: c.jobs("p", kind="export"), "GET", "/v1/projects/p/jobs", [JOB]),
    "job": (lambda c: c.job("j"), "GET", "/v1/jobs/j", JOB),
    "dead_letters": (lambda c: c.dead_letters(limit=3), "GET", "/v1/dead-letters", [LETTER]),
    "replay": (lambda c: c.replay(["x"]), "POST", "/v1/dead-letters/replay", {"replayed": 1}),
    "check": (
        lambda c: c.check("p", ["0" * 64]),
        "POST",
        "/v1/uploads/check",
        {"unknown": [], "known": [{"sha256": "0" * 64, "media_id": "m"}]},
    ),
}
BODIES = {
    "create_project": {"project_id": "p", "title": "Title"},
    "put_deployment": {"location_id": "l"},
    "patch_deployment": {
        "clock_correction": {
            "kind": "drift",
            "points": [{"camera": "2024-05-06T07:08:09", "true": "2024-05-06T07:08:09"}],
        }
    },
    "patch_media": {"captured_at": "2024-05-06T07:08:09"},
    "release_from_quarantine": {"deployment": "d", "captured_at": "2024-05-06T07:08:09"},
    "request_round": {"design": DESIGN},
    "replay": {"dead_letter_ids": ["x"]},
    "check": {"project": "p", "sha256": ["0" * 64]},
}


def subset(read, told):
    """What was told stands in what was read, times as times."""
    if isinstance(told, list):
        return all(subset(one, other) for one, other in zip(read, told, strict=True))
    if isinstance(told, dict):
        return all(subset(getattr(read, name), value) for name, value in told.items())
    return read == (datetime.fromisoformat(told) if isinstance(read, datetime) else told)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_asks_for_its_path_with_the_key(client, gateway, name):
    call, method, path, told = CALLS[name]
    gateway.answer = lambda _: httpx.Response(200, json=told)
    assert subset(call(client), told)
    [request] = gateway.requests
    assert (request.method, request.url.path, request.headers["authorization"]) == (method, path, "Bearer vk_key")
    if name in BODIES:
        assert gateway.last_json == BODIES[name]


@pytest.mark.parametrize("name", CALLS)
async def test_the_other_client_asks_for_the_same(gateway, name):
    call, method, path, told = CALLS[name]
    gateway.answer = lambda _: httpx.Response(200, json=told)
    async with AsyncVarangerClient(
        "http://gateway", "vk_key", transport=httpx.MockTransport(gateway.handle), tries=4
    ) as client:
        assert subset(await call(client), told)
    [request] = gateway.requests
    assert (request.method, request.url.path, request.headers["authorization"]) == (method, path, "Bearer vk_key")
    if name in BODIES:
        assert gateway.last_json == BODIES[name]


def test_both_clients_have_the_same_calls():
    def calls(client):
        return {name for name, value in vars(client).items() if hasattr(value, "__get__") and not name.startswith("_")}

    assert calls(VarangerClient) == calls(AsyncVarangerClient)
    assert calls(VarangerClient) >= CALLS.keys()


def test_a_newer_gateway_tells_more_and_an_older_one_less(client, gateway):
    gateway.answer = lambda _: httpx.Response(200, json=DEPLOYMENT | {"sees": "well"})
    assert client.deployment("p", "d").event_gap_s == 60.0
    gateway.answer = lambda _: httpx.Response(200, json=PROJECT | {"title": 7})
    with pytest.raises(GatewayAway, match="`title` of Project: it is 7, not str"):
        client.project("p")
    gateway.answer = lambda _: httpx.Response(200, json={"title": "x"})
    with pytest.raises(GatewayAway, match="Project without `project_id`"):
        client.project("p")


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({"kind": "offset", "seconds": -3600}, Offset(-3600.0)),
        ({"kind": "wrong_year", "years": 2}, WrongYear(2)),
        ({"kind": "wrong_zone", "camera_zone": "Asia/Tokyo"}, WrongZone("Asia/Tokyo")),
        ({"kind": "leap", "seconds": 1}, {"kind": "leap", "seconds": 1}),
        (None, None),
    ],
)
def test_a_clock_correction_is_read_by_its_kind(client, gateway, told, read):
    gateway.answer = lambda _: httpx.Response(200, json=DEPLOYMENT | {"clock_correction": told})
    assert client.deployment("p", "d").clock_correction == read


def test_a_date_with_a_zone_is_no_camera_time(client):
    with pytest.raises(ValueError, match="zone"):
        client.patch_media("m", captured_at=DATE.replace(tzinfo=UTC))


def test_reviews_are_sent_together(client, gateway):
    gateway.answer = lambda _: httpx.Response(201, json={"reviews": [REVIEW, REVIEW | {"review_id": "2"}]})
    answers = [{"media_id": "a", "observer": "anna", "observations": []}, {"media_id": "b", "observer": "anna"}]
    recorded = client.review("p", iter(answers))
    assert [each.review_id for each in recorded] == ["1", "2"]
    assert recorded[0].observations[0].count == 2
    assert gateway.last_json == {"reviews": answers}


def pages_of(kind):
    if kind == "media":
        return [MEDIA | {"media_id": str(number)} for number in range(3)]
    return [
        {"media_id": str(number), "position": number, "deployment": "d", "name": "n", "width": 1, "height": 1}
        | {"image": "/i", "view": "/v"}
        for number in range(3)
    ]


@pytest.mark.parametrize("kind", ["media", "tasks"])
def test_pages_are_read_to_the_last(client, gateway, kind):
    one, two, three = pages_of(kind)
    pages = [{"items": [one, two], "next": "c1"}, {"items": [], "next": 7}, {"items": [three], "next": None}]
    gateway.next = [httpx.Response(200, json=page) for page in pages]
    found = client.media("p", state="media", private=False) if kind == "media" else client.tasks("r", observer="anna")
    assert next(found).media_id == "0"
    assert len(gateway.requests) == 1, "a page is asked for when it is needed"
    assert [each.media_id for each in found] == ["1", "2"]
    asked = [dict(request.url.params) for request in gateway.requests]
    filters = {"project": "p", "state": "media", "private": "false"} if kind == "media" else {"observer": "anna"}
    assert asked == [filters, filters | {"cursor": "c1"}, filters | {"cursor": "7"}]


async def test_pages_of_the_other_client(gateway):
    one, two, three = pages_of("media")
    gateway.next = [
        httpx.Response(200, json={"items": [one, two], "next": "c1"}),
        httpx.Response(503),
        httpx.Response(200, json={"items": [three], "next": None}),
    ]
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    transport = httpx.MockTransport(gateway.handle)
    async with AsyncVarangerClient("http://gateway", "k", transport=transport, sleep=sleep) as client:
        assert [each.media_id async for each in client.media("p")] == ["0", "1", "2"]
    assert len(slept) == 1


async def test_the_other_client_sends_and_writes_files(gateway, tmp_path):
    (tmp_path / "card").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "card" / name).write_bytes(name.encode())
    async with AsyncVarangerClient("http://gateway", "k", transport=httpx.MockTransport(gateway.handle)) as client:
        verdicts = await client.upload_folder("p", "d", tmp_path / "card")
        assert [(each.file, each.verdict) for each in verdicts] == [("a.jpg", "accepted"), ("b.jpg", "accepted")]
        gateway.next = [httpx.Response(200, content=b"locality\n")]
        await client.final_table("p", tmp_path / "table.csv")
        gateway.answer = lambda request: httpx.Response(201, json={"file": "a.jpg", "verdict": "accepted"})
        put = await client.put_file("p", "d", tmp_path / "card" / "a.jpg", sha256="0" * 64, name="x/a.jpg")
    assert put.verdict == "accepted"
    assert (gateway.requests[-1].content, gateway.requests[-1].headers["content-length"]) == (b"a.jpg", "5")
    assert dict(gateway.requests[-1].url.params) == {
        "project": "p",
        "deployment": "d",
        "path": "x/a.jpg",
        "lane": "live",
    }
    assert (tmp_path / "table.csv").read_text() == "locality\n"


def test_no_name_becomes_another_path(client, gateway):
    gateway.answer = lambda _: httpx.Response(200, json=STATS)
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


def test_an_original_is_what_its_sha256_says_or_is_not_there(client, gateway, tmp_path):
    gateway.answer = lambda _: httpx.Response(200, content=b"the photo")
    photo = tmp_path / "a.jpg"
    client.original("m1", photo, sha256=hashlib.sha256(b"the photo").hexdigest())
    assert (photo.read_bytes(), gateway.requests[0].url.path) == (b"the photo", "/v1/media/m1/image")
    with pytest.raises(GatewayAway, match="sha256"):
        client.original("m1", tmp_path / "b.jpg", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == [photo]


def test_exports_ask_for_their_template(client, gateway, tmp_path):
    gateway.answer = lambda _: httpx.Response(200, content=b"")
    client.export_names("p", tmp_path / "names.csv", template="bohner")
    client.final_table("p", tmp_path / "table.csv", names="camtrapr")
    assert [(request.url.path, dict(request.url.params)) for request in gateway.requests] == [
        ("/v1/projects/p/exports/names", {"template": "bohner"}),
        ("/v1/projects/p/exports/final-table", {"names": "camtrapr"}),
    ]


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
    with pytest.raises(GatewayAway, match=r"302 Found: it leads to http://login.example/; .* sign-in page"):
        client.stats("p")
    assert gateway.slept == []


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://gateway", ""])
def test_what_is_no_address_is_refused_at_once(url):
    with pytest.raises(ValueError, match="http://127"):
        VarangerClient(url, "key")


def test_a_request_is_tried_at_least_once():
    with pytest.raises(ValueError, match="at least once"):
        VarangerClient("http://gateway", "key", tries=0)
