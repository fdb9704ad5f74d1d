import asyncio
import hashlib
import json
import tracemalloc

import pytest

from varanger.common.catalog.tables import MediaHistory, Outbox, Upload
from varanger.common.errors import DependencyDown
from varanger.common.messages import Envelope, MediaUploaded

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_file_is_durable_recorded_and_announced(house):
    answer = await house.client.post(
        house.upload_url,
        files={"files": ("DCIM/100RECNX/IMG_0001.JPG", b"picture", "image/jpeg")},
        headers=house.auth("upload") | {"traceparent": TRACE},
    )
    assert answer.status_code == 201
    [result] = answer.json()["results"]
    assert result["verdict"] == "accepted"
    assert result["file"] == "DCIM/100RECNX/IMG_0001.JPG"
    assert result["sha256"] == hashlib.sha256(b"picture").hexdigest()
    [upload] = await house.rows(Upload)
    assert str(upload.media_id) == result["media_id"]
    assert (upload.original_name, upload.state, upload.lane) == ("IMG_0001.JPG", "pending", "live")
    assert house.stored_keys() == [f"incoming/tundra/{upload.media_id}"]
    assert await house.objects.get(upload.incoming_key) == b"picture"
    [owed] = await house.rows(Outbox)
    envelope = Envelope.from_body(owed.body)
    assert isinstance(envelope.payload, MediaUploaded)
    assert envelope.payload.deployment.location_id == "north"
    assert envelope.traceparent.split("-")[1] == TRACE.split("-")[1]
    [line] = await house.rows(MediaHistory)
    assert (line.what, line.by) == ("received", "upload")
    assert house.left_behind() == []


async def test_many_files_get_a_verdict_each_in_order(house):
    await house.upload(("old.jpg", b"old"))
    answer = await house.upload(
        ("a.jpg", b"a"), ("again.jpg", b"old"), ("b.jpg", b"b"), ("a2.jpg", b"a"), ("0.jpg", b"")
    )
    assert answer.status_code == 201
    results = answer.json()["results"]
    assert [each["verdict"] for each in results] == ["accepted", "duplicate", "accepted", "duplicate", "accepted"]
    assert results[3]["media_id"] == results[0]["media_id"]
    uploads = await house.rows(Upload)
    assert len(uploads) == 6
    assert sum(upload.state == "duplicate" for upload in uploads) == 2
    assert len(house.stored_keys()) == len(await house.rows(Outbox)) == 4


async def test_only_duplicates_answer_200_and_still_count_as_received(house):
    await house.upload(("a.jpg", b"a"))
    answer = await house.upload(("a.jpg", b"a"))
    assert answer.status_code == 200
    assert [upload.state for upload in await house.rows(Upload)] == ["pending", "duplicate"]


async def test_of_identical_uploads_at_once_exactly_one_is_accepted(house):
    answers = await asyncio.gather(*(house.upload((f"{n}.jpg", b"same"), ("own.jpg", b"%d" % n)) for n in range(12)))
    verdicts = [result["verdict"] for answer in answers for result in answer.json()["results"]]
    assert verdicts.count("accepted") == 13
    assert verdicts.count("duplicate") == 11
    assert len({answer.json()["results"][0]["media_id"] for answer in answers}) == 1
    uploads = await house.rows(Upload)
    assert len(uploads) == 24
    assert house.stored_keys() == sorted(upload.incoming_key for upload in uploads if upload.state == "pending")


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer vgr_wrong"}, 401), ({"Authorization": "Basic eDp5"}, 401), ("read", 403)],
)
async def test_a_wrong_key_is_refused_before_the_body_is_read(house, headers, status):
    log = await _drive(house, b"x" * 1000, b"y", headers=house.auth(headers) if isinstance(headers, str) else headers)
    assert log[0]["status"] == status
    assert (b"content-type", b"application/problem+json") in log[0]["headers"]
    assert (b"connection", b"close") in log[0]["headers"]


async def test_a_key_of_another_project_is_refused(house):
    from varanger.api.application.keys import create_key
    from varanger.api.domain.access import Scope

    key = await create_key(house.catalog, scopes=[Scope.ADMIN], project_id="taiga")
    answer = await house.client.post(
        house.upload_url, files={"files": ("a", b"a")}, headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 403
    assert "tundra" in answer.json()["detail"]


async def test_an_unknown_deployment_is_named(house):
    url = house.upload_url.replace("north-1", "south-9")
    answer = await house.client.post(url, files={"files": ("a", b"a")}, headers=house.auth("upload"))
    assert answer.status_code == 404
    assert "south-9" in answer.json()["detail"]


FORM = {"content-type": "multipart/form-data; boundary=B"}
CHUNKED = {"transfer-encoding": "chunked"}
PART = b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\nabc\r\n'


@pytest.mark.parametrize(
    ("headers", "body", "named"),
    [
        ({"content-type": "application/json"}, b"{}", "multipart/form-data"),
        ({}, b"abc", "multipart/form-data"),
        ({"content-type": "multipart/form-data"}, PART, "boundary"),
        ({"content-type": "multipart/form-data; boundary=" + "B" * 300}, PART, "oundary"),
        (FORM, b"no form at all", "multipart body"),
        (FORM, b"", "closing boundary"),
        (FORM, PART, "closing boundary"),
        (FORM, PART + b"--B", "closing boundary"),
        (FORM, b'--B\r\nContent-Disposition: form-data; name="lane"\r\n\r\nlive\r\n--B--\r\n', "no file"),
        (FORM, PART.replace(b'"files"', b'"file"') + b"--B--\r\n", "'file'"),
        (FORM, PART.replace(b'; filename="a.jpg"', b"") + b"--B--\r\n", "no filename"),
        (FORM, PART.replace(b"Content-Disposition", b"X-Other") + b"--B--\r\n", "Content-Disposition"),
        (FORM, PART + b'--B\r\nContent-Disposition: form-data; name="lane"\r\n\r\nslow\r\n--B--\r\n', "slow"),
        (FORM, PART + b'--B\r\nContent-Disposition: form-data; name="lanes"\r\n\r\nlive\r\n--B--\r\n', "lanes"),
        (FORM, PART.replace(b"\r\n\r\nabc", b"\r\nX: " + b"y" * 100_000 + b"\r\n\r\nabc") + b"--B--\r\n", "header"),
    ],
)
async def test_a_malformed_form_is_refused_naming_what_is_wrong(house, headers, body, named):
    answer = await house.client.post(house.upload_url, content=body, headers=house.auth("upload") | headers)
    assert answer.status_code == 400, answer.text
    assert named in answer.json()["detail"]
    assert await house.rows(Upload) == []
    assert house.stored_keys() == house.left_behind() == []


class Flood:
    """A body of any size that says how much of it was taken."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = 0

    async def __aiter__(self):
        yield PART.removesuffix(b"abc\r\n")
        chunk = bytes(1 << 16)
        while self.taken < self.total:
            self.taken += len(chunk)
            yield chunk
        yield b"\r\n--B--\r\n"


async def test_two_gigabytes_are_refused_unread_where_they_are_announced(house):
    flood = Flood(2 << 30)
    headers = house.auth("upload") | FORM | {"content-length": str(2 << 30)}
    answer = await house.client.post(house.upload_url, content=flood, headers=headers)
    assert answer.status_code == 413
    assert str((4 << 20) + (1 << 20)) in answer.json()["detail"]
    assert flood.taken <= 65 << 20


async def test_two_gigabytes_unannounced_are_cut_at_the_limit_in_flat_memory(house):
    flood = Flood(2 << 30)
    tracemalloc.start()
    answer = await house.client.post(house.upload_url, content=flood, headers=house.auth("upload") | FORM)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 413
    assert "a.jpg" in answer.json()["detail"]
    assert str(4 << 20) in answer.json()["detail"]
    assert flood.taken <= 70 << 20
    assert peak < 4 << 20
    assert house.left_behind() == house.stored_keys() == []


async def test_a_file_of_just_the_limit_is_taken_in_flat_memory(house):
    flood = Flood(4 << 20)
    tracemalloc.start()
    answer = await house.client.post(house.upload_url, content=flood, headers=house.auth("upload") | FORM)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 201
    assert answer.json()["results"][0]["sha256"] == hashlib.sha256(bytes(4 << 20)).hexdigest()
    assert peak < 4 << 20


async def test_more_parts_than_the_limit_are_refused(house):
    answer = await house.upload(*((f"{n}.jpg", b"%d" % n) for n in range(1001)))
    assert answer.status_code == 413
    assert "1000 parts" in answer.json()["detail"]


async def _drive(house, *chunks: bytes, headers: dict[str, str]) -> list[dict]:
    """Drive the application as a server does whose client leaves after these chunks; what it did, in order."""
    events = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    log = []

    async def receive():
        log.append(events.pop(0) if events else {"type": "http.disconnect"})
        return log[-1]

    async def send(message):
        log.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": house.upload_url,
        "raw_path": house.upload_url.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (FORM | CHUNKED | headers).items()],
        "client": ("10.0.0.7", 5000),
        "server": ("gateway", 80),
    }
    await house.app(scope, receive, send)
    return log


@pytest.mark.parametrize("cut_at", [0, 10, len(PART) - 3, len(PART), 2 * len(PART) + 4])
async def test_a_cut_connection_leaves_nothing(house, cut_at):
    body = PART + PART + b"--B--\r\n"
    log = await _drive(house, body[:cut_at], headers=house.auth("upload"))
    assert [message["status"] for message in log if message["type"] == "http.response.start"] == [400]
    assert await house.rows(Upload) == await house.rows(Outbox) == []
    assert house.left_behind() == house.stored_keys() == []


class Failing:
    """A store whose n-th put does not answer."""

    def __init__(self, objects, at: int) -> None:
        self._objects = objects
        self._at = at
        self._puts = 0

    async def put(self, key, data, **options):
        self._puts += 1
        if self._puts == self._at:
            raise DependencyDown("object store: no route")
        await self._objects.put(key, data, **options)

    def __getattr__(self, name):
        return getattr(self._objects, name)


def _replace(house, **parts) -> None:
    import dataclasses

    house.app.state.gateway = dataclasses.replace(house.app.state.gateway, **parts)


async def test_a_store_that_is_down_is_503_and_nothing_is_half_recorded(house):
    _replace(house, objects=Failing(house.objects, at=2))
    answer = await house.upload(("a.jpg", b"a"), ("b.jpg", b"b"), ("c.jpg", b"c"))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert await house.rows(Upload) == await house.rows(Outbox) == []
    assert house.stored_keys() == house.left_behind() == []
    again = await house.upload(("a.jpg", b"a"), ("b.jpg", b"b"), ("c.jpg", b"c"))
    assert again.status_code == 201


async def test_a_catalog_that_fails_inside_the_transaction_leaves_no_object(house, monkeypatch):
    from varanger.api.adapters import upload_rows

    async def no_answer(*_):
        raise DependencyDown("catalog: the connection was lost")

    monkeypatch.setattr(upload_rows, "insert_first", no_answer)
    answer = await house.upload(("a.jpg", b"a"))
    assert answer.status_code == 503
    assert await house.rows(Upload) == []
    assert house.stored_keys() == []


async def test_the_bulk_lane_is_refused_while_it_is_too_far_behind_and_live_never(house):
    _replace(house, settings=house.app.state.gateway.settings.model_copy(update={"bulk_backlog_limit": 1}))
    assert (await house.upload(("a.jpg", b"a"), ("b.jpg", b"b"), lane="bulk")).status_code == 201
    house.app.state.backlog.__init__()
    refused = await house.upload(("c.jpg", b"c"), lane="bulk")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert (await house.upload(("c.jpg", b"c"))).status_code == 201
    as_field = await house.client.post(
        house.upload_url, data={"lane": "bulk"}, files={"files": ("d.jpg", b"d")}, headers=house.auth("upload")
    )
    assert as_field.status_code == 429
    lanes = sorted(upload.lane for upload in await house.rows(Upload))
    assert lanes == ["bulk", "bulk", "live"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("DCIM\\100\\IMG.JPG", "DCIM/100/IMG.JPG"),
        ("../../etc/passwd", "etc/passwd"),
        ("/abs/./a//b.jpg", "abs/a/b.jpg"),
        ("ä ö.jpg", "ä ö.jpg"),
        ("..", "unnamed"),
        ("x" * 3000 + "/a.jpg", None),
    ],
)
async def test_the_path_a_client_gives_is_kept_safe(house, given, kept):
    answer = await house.upload((given, b"a"))
    [upload] = await house.rows(Upload)
    if kept is not None:
        assert upload.original_path == kept
    assert len(upload.original_path) <= 1024
    assert not upload.original_path.startswith(("/", ".."))
    assert answer.json()["results"][0]["file"] == upload.original_path


async def test_problem_details_name_the_path(house):
    answer = await house.client.get("/v1/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.content)["instance"] == "/v1/nowhere"


async def test_a_silent_client_is_given_up(house, monkeypatch):
    from varanger.api.gateway import intake

    monkeypatch.setattr(intake, "LONGEST_SILENCE_S", 0.05)

    async def body():
        yield PART
        await asyncio.sleep(1)

    answer = await house.client.post(house.upload_url, content=body(), headers=house.auth("upload") | FORM)
    assert answer.status_code == 408
    assert await house.rows(Upload) == []
    assert house.left_behind() == []
