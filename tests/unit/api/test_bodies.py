"""Bodies that are slow, broken, or find no room."""

import asyncio
import os
import time

import pytest

from varanger.api.gateway import bodies, spool
from varanger.api.gateway.app import create_app
from varanger.common.catalog.tables import Upload

CHECK = "/v1/uploads/check"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("more", [{}, {"Idempotency-Key": "one"}])
async def test_a_json_body_that_stops_coming_is_given_up(house, monkeypatch, more):
    monkeypatch.setattr(bodies, "LONGEST_SILENCE_S", 0.05)
    let_go = asyncio.Event()

    async def halting():
        yield b'{"project": '
        await let_go.wait()
        yield b'"tundra", "sha256": []}'

    try:
        async with asyncio.timeout(5):
            answer = await house.client.post(CHECK, content=halting(), headers=house.auth("upload") | JSON | more)
    finally:
        let_go.set()
    assert answer.status_code == 408
    assert "nothing came for" in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe{}", b"", b'{"a": 1,}'])
async def test_what_is_no_json_is_called_so(house, body):
    answer = await house.client.post(CHECK, content=body, headers=house.auth("upload") | JSON)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "body"
    assert "JSON" in error["problem"]


async def test_json_that_is_not_announced_as_such_is_told_what_is_missing(house):
    body = b'{"project": "tundra", "sha256": []}'
    answer = await house.client.post(CHECK, content=body, headers=house.auth("upload"))
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize("size", [7, 3 << 20])
async def test_a_full_disk_here_is_no_fault_of_the_file(house, monkeypatch, size):
    full = await asyncio.to_thread(open, "/dev/full", "wb")
    monkeypatch.setattr(spool.Spool, "_open", lambda _: full)
    answer = await house.upload(("a.jpg", b"p" * size))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "No space left on device" in answer.json()["detail"]
    assert await house.rows(Upload) == house.left_behind() == []


async def test_what_a_killed_gateway_left_is_removed_and_what_is_being_written_stays(house):
    folder = house.spool_folder
    long_ago = time.time() - spool.LEFT_OVER_AFTER_S - 60
    for name, age in (("varanger-upload-dead", long_ago), ("varanger-upload-slow", long_ago), ("somebody", long_ago)):
        (folder / name).mkdir()
        (folder / name / "file").write_bytes(b"half")
        for path in (folder / name / "file", folder / name):
            os.utime(path, (age, age))
    (folder / "varanger-upload-slow" / "file").touch()
    os.utime(folder / "varanger-upload-slow", (long_ago, long_ago))
    here = house.app.state.gateway
    create_app(here.settings, here.catalog, here.objects, here.bus, spool_folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["somebody", "varanger-upload-slow"]
