import asyncio
import json
from datetime import timedelta

import httpx
import pytest

from varanger.api.adapters import upload_rows
from varanger.api.application import idempotency
from varanger.api.application.keys import create_key
from varanger.api.domain.access import KeyLimits, Scope
from varanger.api.gateway.limits import Limits
from varanger.common.catalog.tables import Deployment, IdempotencyKey, MediaHistory, PartialUpload, Project, Upload
from varanger.common.clock import now
from varanger.common.errors import DependencyDown

KEY = {"Idempotency-Key": "3f0c-first"}
DEPLOYMENTS = "/v1/projects/tundra/deployments"


def post(house, body, path=DEPLOYMENTS, **headers):
    return house.client.post(path, json=body, headers=house.auth("admin") | KEY | headers)


def form(house, *files, boundary="B", data=None, kind="multipart/form-data", **query):
    parts = [("files", (name, content, "image/jpeg")) for name, content in files]
    lower = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    body = httpx.Request("POST", house.upload_url, files=parts, data=data, headers=lower).read()
    headers = house.auth("upload") | KEY | {"Content-Type": f"{kind}; boundary={boundary}"}
    return house.client.post(house.upload_url, content=body, params=query, headers=headers)


async def change_row(house, **values):
    async with house.catalog.writing() as session:
        [row] = await house.rows(IdempotencyKey)
        row = await session.get(IdempotencyKey, (row.caller, row.key))
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)


async def test_the_same_request_again_is_answered_the_same_and_not_carried_out(house):
    first = await post(house, {"deployment_id": "d1", "location_id": "l1"})
    # Written otherwise, it says the same.
    again = await house.client.post(
        DEPLOYMENTS,
        content=b'{ "location_id":"l1",  "deployment_id":"d1" }',
        headers=house.auth() | KEY | {"Content-Type": "application/json"},
    )
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    without = await house.post(DEPLOYMENTS, {"deployment_id": "d1", "location_id": "l1"})
    assert without.status_code == 409


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"deployment_id": "d2", "location_id": "l1"}, DEPLOYMENTS),
        ({"deployment_id": "d1", "location_id": "l1"}, DEPLOYMENTS + "?x=1"),
        ({"project_id": "p"}, "/v1/projects"),
    ],
)
async def test_the_same_key_for_another_request_is_refused(house, body, path):
    await post(house, {"deployment_id": "d1", "location_id": "l1"})
    answer = await post(house, body, path)
    assert answer.status_code == 422
    assert "3f0c-first" in answer.json()["detail"]
    assert len(await house.rows(Deployment)) == 2


async def test_two_callers_may_choose_the_same_key(house):
    await post(house, {"deployment_id": "d1", "location_id": "l1"})
    key = await create_key(house.catalog, scopes=[Scope.ADMIN])
    other = await post(house, {"deployment_id": "d2", "location_id": "l1"}, Authorization=f"Bearer {key}")
    assert other.status_code == 201


async def test_a_refusal_is_told_again_too(house):
    first = await post(house, {"deployment_id": "d1"})
    again = await post(house, {"deployment_id": "d1"})
    assert first.status_code == again.status_code == 422
    assert again.json() == first.json()
    assert again.headers["content-type"] == "application/problem+json"
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("key", ["", "two words", "ä", "x" * 256, "tab\t"])
async def test_a_key_that_is_none_is_refused(house, key):
    headers = [*house.auth().items(), ("Idempotency-Key", key.encode())]
    answer = await house.client.post(
        DEPLOYMENTS, json={"deployment_id": "d1", "location_id": "l1"}, headers=[(n, v) for n, v in headers]
    )
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["detail"]
    assert await house.rows(IdempotencyKey) == []


async def test_two_keys_at_once_are_refused(house):
    headers = [*house.auth().items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await house.client.post(DEPLOYMENTS, json={}, headers=headers)
    assert answer.status_code == 400


async def test_without_a_valid_api_key_nothing_is_claimed(house):
    house.keys["admin"] = "vgr_wrong"
    answer = await post(house, {"deployment_id": "d1", "location_id": "l1"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"]
    assert await house.rows(IdempotencyKey) == []


async def test_of_many_at_once_one_is_carried_out(house):
    answers = await asyncio.gather(*(form(house, ("a.jpg", b"a"), boundary=f"B{n}") for n in range(10)))
    codes = [answer.status_code for answer in answers]
    replays = [answer for answer in answers if "idempotent-replayed" in answer.headers]
    assert set(codes) <= {201, 409}
    assert codes.count(201) == 1 + len(replays)
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 409)
    assert len(await house.rows(Upload)) == 1
    assert [line.what for line in await house.rows(MediaHistory)] == ["received"]


async def test_a_form_is_told_apart_by_its_files_and_lane(house):
    first = await form(house, ("a.jpg", b"a"), ("b.jpg", b"b"))
    again = await form(house, ("a.jpg", b"a"), ("b.jpg", b"b"), boundary="another", kind="Multipart/Form-Data")
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.content) == (201, first.content)
    assert len(await house.rows(Upload)) == 2
    for other in (
        form(house, ("b.jpg", b"b"), ("a.jpg", b"a")),
        form(house, ("a.jpg", b"a"), ("c.jpg", b"b")),
        form(house, ("a.jpg", b"x"), ("b.jpg", b"b")),
        form(house, ("a.jpg", b"a")),
        form(house, ("a.jpg", b"a"), ("b.jpg", b"b"), data={"lane": "bulk"}),
    ):
        assert (await other).status_code == 422
    assert len(await house.rows(Upload)) == 2
    assert house.left_behind() == []


async def test_a_fault_of_ours_is_not_kept_and_the_same_key_tries_again(house, monkeypatch):
    async def down(*_):
        raise DependencyDown("catalog: away")

    async def broken(*_):
        raise RuntimeError("a mistake")

    for fault, status in ((down, 503), (broken, 500)):
        with monkeypatch.context() as patch:
            patch.setattr(upload_rows, "insert_first", fault)
            assert (await form(house, ("a.jpg", b"a"))).status_code == status
        assert await house.rows(IdempotencyKey) == []
    answer = await form(house, ("a.jpg", b"a"))
    assert answer.status_code == 201
    assert "idempotent-replayed" not in answer.headers


async def test_a_429_is_not_kept(house):
    at = 1000.0
    house.app.state.limits = Limits(KeyLimits(1, 0), lambda: at)
    await house.get("/v1/projects", "admin")
    assert (await post(house, {"deployment_id": "d1", "location_id": "l1"})).status_code == 429
    at += 60
    answer = await post(house, {"deployment_id": "d1", "location_id": "l1"})
    assert answer.status_code == 201
    at += 60
    assert (await post(house, {"deployment_id": "d1", "location_id": "l1"})).headers["idempotent-replayed"] == "true"
    assert (await post(house, {"deployment_id": "d1", "location_id": "l1"})).status_code == 429


async def test_in_progress_is_409_and_a_claim_that_was_left_is_taken_over(house):
    await form(house, ("a.jpg", b"a"))
    begun = now() - timedelta(seconds=idempotency.CLAIM_S - 20)
    await change_row(house, status=None, answer=None, begun_at=begun)
    waiting = await form(house, ("a.jpg", b"a"))
    assert waiting.status_code == 409
    assert int(waiting.headers["retry-after"]) > 0
    await change_row(house, begun_at=begun - timedelta(seconds=21))
    assert (await form(house, ("other.jpg", b"o"))).status_code == 422
    taken_over = await form(house, ("a.jpg", b"a"))
    assert taken_over.status_code == 200
    assert taken_over.json()["results"][0]["verdict"] == "duplicate"
    assert (await form(house, ("a.jpg", b"a"))).headers["idempotent-replayed"] == "true"


async def test_keys_are_forgotten_after_their_time(house):
    await form(house, ("a.jpg", b"a"))
    await idempotency.forget_idempotency_keys(house.catalog)
    assert len(await house.rows(IdempotencyKey)) == 1
    await change_row(house, begun_at=now() - timedelta(seconds=idempotency.KEPT_S + 1))
    other = await form(house, ("b.jpg", b"b"))
    assert other.status_code == 201
    assert "idempotent-replayed" not in other.headers
    await change_row(house, begun_at=now() - timedelta(seconds=idempotency.KEPT_S + 1))
    await idempotency.forget_idempotency_keys(house.catalog)
    assert await house.rows(IdempotencyKey) == []


async def test_a_long_request_keeps_its_claim(house, monkeypatch):
    monkeypatch.setattr(idempotency, "CLAIM_S", 0.2)
    begin = asyncio.Event()

    async def slow_put(key, data, **options):
        begin.set()
        await asyncio.sleep(0.5)

    monkeypatch.setattr(house.objects, "put", slow_put)
    first = asyncio.create_task(form(house, ("a.jpg", b"a")))
    await begin.wait()
    await asyncio.sleep(0.35)
    meanwhile = await form(house, ("a.jpg", b"a"))
    assert meanwhile.status_code == 409
    assert (await first).status_code == 201
    assert (await form(house, ("a.jpg", b"a"))).headers["idempotent-replayed"] == "true"


def drive(house, path, body, *, content_type, whole):
    """A request whose client leaves: before its body ended, or right after."""
    events = [
        {"type": "http.request", "body": body, "more_body": not whole},
        {"type": "http.disconnect"},
    ]
    headers = house.auth() | KEY | {"Content-Type": content_type, "Content-Length": "1000"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("10.0.0.7", 5000),
        "server": ("gateway", 80),
    }

    async def receive():
        return events.pop(0) if len(events) > 1 else events[0]

    async def send(_):
        return

    return house.app(scope, receive, send)


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=B"])
async def test_a_cut_request_claims_nothing(house, content_type):
    path = DEPLOYMENTS if content_type == "application/json" else house.upload_url
    await drive(house, path, b'{"deployment_id":', content_type=content_type, whole=False)
    assert await house.rows(IdempotencyKey) == []


async def test_a_client_that_leaves_before_the_answer_finds_it_when_it_comes_back(house):
    body = {"project_id": "p", "title": "P"}
    await drive(house, "/v1/projects", json.dumps(body).encode(), content_type="application/json", whole=True)
    assert "p" in [project.project_id for project in await house.rows(Project)]
    again = await post(house, body, "/v1/projects")
    assert again.status_code == 201
    assert again.headers["idempotent-replayed"] == "true"


async def test_an_upload_in_pieces_is_begun_once(house):
    headers = house.auth("upload") | KEY | {"Tus-Resumable": "1.0.0", "Upload-Length": "5"}
    metadata = {"Upload-Metadata": "filename YS5qcGc="}
    query = {"project": "tundra", "deployment": "north-1"}
    first, again = [
        await house.client.post("/v1/uploads/tus", params=query, headers=headers | metadata) for _ in range(2)
    ]
    assert first.status_code == again.status_code == 201, first.text
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert len(await house.rows(PartialUpload)) == 1
    longer = await house.client.post(
        "/v1/uploads/tus", params=query, headers=headers | metadata | {"Upload-Length": "6"}
    )
    assert longer.status_code == 422
