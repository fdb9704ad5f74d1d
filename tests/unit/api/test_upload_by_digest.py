import asyncio
import dataclasses
import hashlib
import tracemalloc
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Scope
from varanger.api.gateway import intake
from varanger.common.catalog.tables import Deployment, MediaHistory, Outbox, Project, Upload
from varanger.common.messages import Envelope, MediaUploaded

WHERE = {"project": "tundra", "deployment": "north-1", "path": "DCIM/100RECNX/IMG_0001.JPG"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(house, data, digest=None, *, headers=None, **query):
    digest = digest or sha256(data)
    return house.client.put(
        f"/v1/uploads/sha256/{digest}",
        content=data,
        params=WHERE | query,
        headers=house.auth("upload") | (headers or {}),
    )


async def nothing_was_kept(house) -> bool:
    return await house.rows(Upload) == await house.rows(Outbox) == house.stored_keys() == house.left_behind() == []


@contextmanager
def statements(catalog):
    """Every SQL statement that the catalog is asked meanwhile."""
    asked: list[str] = []

    def note(_connection, _cursor, statement, *_):
        asked.append(statement)

    engines = [catalog._reader.sync_engine, catalog._writer.sync_engine]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield asked
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


async def test_check_tells_unknown_from_known_in_the_order_asked(house):
    accepted = (await house.upload(("a.jpg", b"a"), ("b.jpg", b"b"))).json()["results"]
    asked = [sha256(b"x"), sha256(b"b"), sha256(b"y"), sha256(b"a")]
    answer = await house.post("/v1/uploads/check", {"project": "tundra", "sha256": asked}, "upload")
    assert answer.status_code == 200
    assert answer.json() == {
        "unknown": [asked[0], asked[2]],
        "known": [
            {"sha256": asked[1], "media_id": accepted[1]["media_id"]},
            {"sha256": asked[3], "media_id": accepted[0]["media_id"]},
        ],
    }


async def test_a_thousand_digests_are_one_query(house):
    await house.upload(*((f"{n}.jpg", b"%d" % n) for n in range(40)))
    asked = [sha256(b"%d" % n) for n in range(1000)]
    with statements(house.catalog) as made:
        answer = await house.post("/v1/uploads/check", {"project": "tundra", "sha256": asked}, "upload")
    assert (len(answer.json()["known"]), len(answer.json()["unknown"])) == (40, 960)
    made = [one for one in made if one != "BEGIN"]
    assert ["api_key" in one for one in made] == [True, False], made
    assert made[1].startswith("SELECT")


@pytest.mark.parametrize("wrong", ["", "ab" * 31, "AB" * 32, "zz" * 32, "ab" * 33])
async def test_a_malformed_digest_is_named_by_its_place(house, wrong):
    body = {"project": "tundra", "sha256": [sha256(b"a"), sha256(b"b"), wrong]}
    answer = await house.post("/v1/uploads/check", body, "upload")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["sha256.2"]
    assert f"{wrong!r} is no sha256" in answer.json()["detail"]


async def test_more_than_a_thousand_digests_are_refused(house):
    answer = await house.post("/v1/uploads/check", {"project": "tundra", "sha256": [sha256(b"a")] * 1001}, "upload")
    assert answer.status_code == 422
    assert "1000" in answer.json()["detail"]


async def test_check_asks_about_the_keys_own_project_alone(house):
    async with house.catalog.writing() as session:
        session.add(Project(project_id="taiga"))
    await house.upload(("a.jpg", b"a"))
    house.keys["upload"] = await create_key(house.catalog, scopes=[Scope.UPLOAD], project_id="taiga")
    asked = [sha256(b"a")]
    own = await house.post("/v1/uploads/check", {"project": "taiga", "sha256": asked}, "upload")
    assert own.json() == {"unknown": asked, "known": []}
    other = await house.post("/v1/uploads/check", {"project": "tundra", "sha256": asked}, "upload")
    assert other.status_code == 403
    assert (await house.post("/v1/uploads/check", {"project": "tundra", "sha256": []}, "read")).status_code == 403


async def test_check_of_a_project_that_is_not_there_says_so(house):
    answer = await house.post("/v1/uploads/check", {"project": "tundar", "sha256": [sha256(b"a")]}, "upload")
    assert answer.status_code == 404
    assert "tundar" in answer.json()["detail"]


async def test_a_file_put_under_its_digest_is_durable_recorded_and_announced(house):
    answer = await put(house, b"picture", lane="bulk")
    assert answer.status_code == 201
    [upload] = await house.rows(Upload)
    assert answer.json() == {
        "file": WHERE["path"],
        "verdict": "accepted",
        "media_id": str(upload.media_id),
        "sha256": sha256(b"picture"),
        "reason": "",
    }
    assert (upload.original_name, upload.original_path) == ("IMG_0001.JPG", WHERE["path"])
    assert (upload.state, upload.lane, upload.bytes) == ("pending", "bulk", 7)
    assert await house.objects.get(upload.incoming_key) == b"picture"
    [owed] = await house.rows(Outbox)
    assert isinstance(Envelope.from_body(owed.body).payload, MediaUploaded)
    assert house.left_behind() == []


async def test_putting_again_answers_200_with_the_same_media_and_stores_nothing(house):
    first = await put(house, b"picture")
    stored = house.stored_keys()
    again = await put(house, b"picture", path="other/card/IMG_9.JPG")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["verdict"] == "duplicate"
    assert again.json()["media_id"] == first.json()["media_id"]
    assert house.stored_keys() == stored
    assert [upload.state for upload in await house.rows(Upload)] == ["pending", "duplicate"]
    assert [line.what for line in await house.rows(MediaHistory)] == ["received", "offered_again"]
    by_form = await house.upload(("form.jpg", b"picture"))
    assert by_form.json()["results"][0]["media_id"] == first.json()["media_id"]


async def test_a_retry_leaves_no_trace_wherever_the_content_was_recorded_first(house):
    await put(house, b"picture")
    await put(house, b"picture", path="other/card/IMG_9.JPG")
    rows = await house.rows(Upload)
    history = await house.rows(MediaHistory)
    for path in (WHERE["path"], "other/card/IMG_9.JPG", "/other/./card/IMG_9.JPG"):
        again = await put(house, b"picture", path=path)
        assert (again.status_code, again.json()["verdict"]) == (200, "duplicate")
        assert again.json()["media_id"] == str(rows[0].media_id)
    assert await house.rows(Upload) == rows
    assert await house.rows(MediaHistory) == history


async def test_the_same_path_of_another_deployment_is_no_retry(house):
    async with house.catalog.writing() as session:
        session.add(Deployment(project_id="tundra", deployment_id="north-2", location_id="north"))
    for _ in range(2):
        for deployment in ("north-1", "north-2"):
            await put(house, b"picture", deployment=deployment)
    rows = [(row.deployment_id, row.state) for row in await house.rows(Upload)]
    assert rows == [("north-1", "pending"), ("north-2", "duplicate")]


async def test_a_form_sent_again_keeps_its_rows(house):
    await house.upload(("a.jpg", b"picture"))
    await house.upload(("a.jpg", b"picture"))
    assert [row.state for row in await house.rows(Upload)] == ["pending", "duplicate"]


async def test_known_content_is_answered_without_reading_the_body(house):
    await put(house, b"picture")
    taken = 0

    async def body():
        nonlocal taken
        while taken < 256 << 20:
            taken += 1 << 20
            yield bytes(1 << 20)

    answer = await put(house, body(), sha256(b"picture"), headers={"Expect": "100-continue"})
    assert answer.status_code == 200
    # What the gateway lets through after its answer, for clients that cannot read while they send (`bodies.py`).
    assert taken <= 65 << 20
    assert house.left_behind() == []


async def test_of_identical_puts_at_once_exactly_one_is_accepted(house):
    answers = await asyncio.gather(*(put(house, b"same", path=f"{n}.jpg") for n in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert len({answer.json()["media_id"] for answer in answers}) == 1
    uploads = await house.rows(Upload)
    assert house.stored_keys() == [upload.incoming_key for upload in uploads if upload.state == "pending"]
    assert len(uploads) == 12


async def test_wrong_bytes_are_refused_with_both_digests_and_nothing_is_kept(house):
    answer = await put(house, b"damaged", sha256(b"picture"))
    assert answer.status_code == 422
    assert sha256(b"damaged") in answer.json()["detail"]
    assert sha256(b"picture") in answer.json()["detail"]
    assert await nothing_was_kept(house)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": str((4 << 20) + 1)}])
async def test_more_than_the_limit_is_refused_in_flat_memory(house, headers):
    sent = 0

    async def flood():
        nonlocal sent
        while sent < 1 << 30:
            sent += 1 << 16
            yield bytes(1 << 16)

    tracemalloc.start()
    answer = await put(house, flood(), sha256(b""), headers=headers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 413
    assert str(4 << 20) in answer.json()["detail"]
    assert sent < 80 << 20
    assert peak < 5 << 20
    assert await nothing_was_kept(house)


async def test_a_body_that_is_not_as_long_as_announced_is_refused(house):
    answer = await put(house, b"half", headers={"Content-Length": "8"})
    assert answer.status_code == 400
    assert "4 bytes came, Content-Length announced 8" in answer.json()["detail"]
    assert await nothing_was_kept(house)


async def test_a_silent_client_is_given_up(house, monkeypatch):
    monkeypatch.setattr(intake, "LONGEST_SILENCE_S", 0.05)

    async def body():
        yield b"half"
        await asyncio.sleep(1)

    answer = await put(house, body(), sha256(b"whole"))
    assert answer.status_code == 408
    assert await nothing_was_kept(house)


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ({"project": None}, 422, "project"),
        ({"deployment": None}, 422, "deployment"),
        ({"path": None}, 422, "path"),
        ({"path": ""}, 422, "path"),
        ({"deployment": "south-9"}, 404, "south-9"),
        ({"project": "taiga"}, 404, "taiga"),
        ({"lane": "slow"}, 422, "lane"),
        ({"priority": "slow"}, 422, "priority"),
        ({"lane": "live", "priority": "bulk"}, 422, "lane is 'live', priority is 'bulk'"),
    ],
)
async def test_a_question_that_cannot_be_answered_names_its_field(house, query, status, named):
    asked = {name: value for name, value in (WHERE | query).items() if value is not None}
    url = f"/v1/uploads/sha256/{sha256(b'a')}"
    answer = await house.client.put(url, content=b"a", params=asked, headers=house.auth("upload"))
    assert answer.status_code == status, answer.text
    assert named in answer.json()["detail"]
    assert await nothing_was_kept(house)


async def test_a_malformed_digest_in_the_address_is_named(house):
    answer = await put(house, b"a", "abc")
    assert answer.status_code == 422
    assert "digest: 'abc' is no sha256" in answer.json()["detail"]


async def test_the_key_must_allow_uploads_to_that_project(house):
    house.keys["upload"] = house.keys["read"]
    assert (await put(house, b"a")).status_code == 403
    house.keys["upload"] = await create_key(house.catalog, scopes=[Scope.UPLOAD], project_id="taiga")
    refused = await put(house, b"a")
    assert refused.status_code == 403
    assert "tundra" in refused.json()["detail"]
    house.keys["upload"] = "vgr_wrong"
    assert (await put(house, b"a")).status_code == 401
    assert await nothing_was_kept(house)


async def test_the_bulk_lane_is_refused_while_it_is_too_far_behind_but_not_known_content(house):
    settings = house.app.state.gateway.settings.model_copy(update={"bulk_backlog_limit": 0})
    assert (await put(house, b"a", priority="bulk")).status_code == 201
    house.app.state.gateway = dataclasses.replace(house.app.state.gateway, settings=settings)
    house.app.state.backlog = intake.Backlog()
    refused = await put(house, b"b", priority="bulk")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert (await put(house, b"a", priority="bulk")).status_code == 200
    assert (await put(house, b"b")).status_code == 201


@pytest.mark.parametrize(
    ("query", "fields", "lane"),
    [
        ({"priority": "bulk"}, {}, "bulk"),
        ({"lane": "bulk", "priority": "bulk"}, {}, "bulk"),
        ({}, {"priority": "bulk"}, "bulk"),
        ({"lane": "bulk"}, {"priority": "bulk"}, "bulk"),
        ({"priority": "bulk"}, {"lane": "live"}, None),
        ({}, {"lane": "live", "priority": "bulk"}, None),
    ],
)
async def test_a_form_takes_priority_for_lane_and_refuses_two_that_differ(house, query, fields, lane):
    answer = await house.client.post(
        house.upload_url,
        params=query,
        data=fields,
        files={"files": ("a.jpg", b"a")},
        headers=house.auth("upload"),
    )
    if lane is None:
        assert answer.status_code == 422
        assert "names of the same thing" in answer.json()["detail"]
        assert await nothing_was_kept(house)
    else:
        assert answer.status_code == 201
        assert [upload.lane for upload in await house.rows(Upload)] == [lane]
