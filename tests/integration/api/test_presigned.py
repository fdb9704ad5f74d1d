"""Uploads that go past the gateway, on a real S3 and PostgreSQL: nothing counts that was not read and found right."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from tests.integration.api.conftest import Pair

from varanger.api.application import direct_upload
from varanger.api.application.keys import create_key
from varanger.api.application.sweep import sweep_rowless
from varanger.api.application.tidy_partial_uploads import tidy_partial_uploads
from varanger.api.domain.access import Scope
from varanger.common.catalog.tables import Outbox, PartialUpload, Upload
from varanger.common.clock import now
from varanger.common.errors import DependencyDown

PART = 5 << 20
URL = "/v1/uploads/presigned"
NO_FILE = (0, 0, [])


class Trusted:
    """A client that may reach the store."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.client = httpx.AsyncClient(timeout=60, base_url=pair.urls[0], headers=pair.headers)
        self.plain = httpx.AsyncClient(timeout=60)

    async def begin(self, content: bytes, **more: Any) -> httpx.Response:
        body = {
            "project": "tundra",
            "deployment": "north-1",
            "path": "DCIM/100RECNX/VIDEO.AVI",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "part_bytes": PART,
        }
        return await self.client.post(URL, json=body | more)

    async def begun(self, content: bytes, **more: Any) -> dict[str, Any]:
        answer = await self.begin(content, **more)
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def send(self, told: dict[str, Any], content: bytes, *numbers: int) -> list[dict[str, Any]]:
        """The parts of these numbers (or all), last one first."""
        sent = []
        for part in reversed(told["parts"]):
            if numbers and part["number"] not in numbers:
                continue
            start = (part["number"] - 1) * told["part_bytes"]
            data = content[start : start + told["part_bytes"]]
            answer = await self.plain.put(part["url"], content=data)
            assert answer.status_code == 200, answer.text
            sent.append({"number": part["number"], "etag": answer.headers["etag"]})
        return sent

    async def complete(self, told: dict[str, Any], parts: list[dict[str, Any]], gateway: int = 0) -> httpx.Response:
        return await self.client.post(
            f"{self.pair.urls[gateway]}{URL}/{told['upload_id']}/complete", json={"parts": parts}
        )

    async def counted(self) -> tuple[int, int, list[str]]:
        """(upload rows, messages owed, every object)"""
        return len(await self.pair.rows(Upload)), len(await self.pair.rows(Outbox)), await self.pair.keys("")


@pytest.fixture
async def trusted(s3_pair: Pair) -> AsyncIterator[Trusted]:
    trusted = Trusted(s3_pair)
    yield trusted
    await trusted.client.aclose()
    await trusted.plain.aclose()


CONTENT = os.urandom(2 * PART + 1234)


async def test_a_file_counts_once_it_was_read_and_found_right(trusted: Trusted) -> None:
    told = await trusted.begun(CONTENT)
    assert [part["bytes"] for part in told["parts"]] == [PART, PART, 1234]
    parts = await trusted.send(told, CONTENT)
    assert await trusted.counted() == NO_FILE
    answers = [await trusted.complete(told, parts, gateway) for gateway in (0, 1, 0)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    verdict = answers[0].json()
    [upload] = await trusted.pair.rows(Upload)
    assert verdict == {
        "file": "DCIM/100RECNX/VIDEO.AVI",
        "verdict": "accepted",
        "media_id": str(upload.media_id),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "reason": "",
    }
    assert await trusted.pair.objects.get(upload.incoming_key) == CONTENT
    assert await trusted.counted() == (1, 1, [upload.incoming_key])


async def test_completed_twice_at_once_it_is_one_file(trusted: Trusted) -> None:
    told = await trusted.begun(CONTENT)
    parts = await trusted.send(told, CONTENT)
    answers = await asyncio.gather(*(trusted.complete(told, parts, number % 2) for number in range(4)))
    # One that the store itself turned away at that moment is told to come again, and is then told the same.
    again = [answer if answer.status_code == 201 else await trusted.complete(told, parts) for answer in answers]
    assert {answer.status_code for answer in again} == {201}, [answer.text for answer in answers]
    assert len({answer.json()["media_id"] for answer in again}) == 1
    [upload] = await trusted.pair.rows(Upload)
    assert await trusted.counted() == (1, 1, [upload.incoming_key])


async def test_known_content_need_not_be_sent(trusted: Trusted) -> None:
    told = await trusted.begun(CONTENT)
    first = await trusted.complete(told, await trusted.send(told, CONTENT))
    known = await trusted.begin(CONTENT, path="again.avi")
    assert known.status_code == 200
    assert known.json()["verdict"]["verdict"] == "duplicate"
    assert known.json()["verdict"]["media_id"] == first.json()["media_id"]


async def test_content_that_came_meanwhile_is_a_duplicate(trusted: Trusted) -> None:
    both = [await trusted.begun(CONTENT), await trusted.begun(CONTENT)]
    answers = [await trusted.complete(told, await trusted.send(told, CONTENT)) for told in both]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["media_id"] == answers[1].json()["media_id"]
    assert len(await trusted.pair.keys("")) == 1


@pytest.mark.parametrize(
    ("fault", "named"),
    [("unsent", "parts 2: not sent"), ("unnamed", "parts 2: not named"), ("etag", "parts 3: named with another ETag")],
)
async def test_a_wrong_part_is_named_and_can_be_mended(trusted: Trusted, fault: str, named: str) -> None:
    told = await trusted.begun(CONTENT)
    parts = await trusted.send(told, CONTENT, *((1, 3) if fault == "unsent" else ()))
    given = {
        "unsent": parts,
        "unnamed": [part for part in parts if part["number"] != 2],
        "etag": [part | ({"etag": "0" * 32} if part["number"] == 3 else {}) for part in parts],
    }[fault]
    answer = await trusted.complete(told, given)
    assert answer.status_code == 422
    assert named in answer.json()["detail"]
    assert await trusted.counted() == NO_FILE
    mended = await trusted.complete(told, await trusted.send(told, CONTENT))
    assert mended.json()["verdict"] == "accepted"


async def test_a_part_of_another_size_is_named(trusted: Trusted) -> None:
    told = await trusted.begun(CONTENT)
    parts = await trusted.send(told, CONTENT + b"more", 1, 2)
    answer = await trusted.plain.put(told["parts"][2]["url"], content=CONTENT[2 * PART :] + b"more")
    parts.append({"number": 3, "etag": answer.headers["etag"]})
    refused = await trusted.complete(told, parts)
    assert refused.status_code == 422
    assert "parts 3: of another size" in refused.json()["detail"]
    assert await trusted.counted() == NO_FILE


async def test_other_bytes_than_announced_are_removed_and_never_count(trusted: Trusted) -> None:
    told = await trusted.begun(CONTENT)
    other = bytes(PART) + CONTENT[PART:]
    refused = await trusted.complete(told, await trusted.send(told, other))
    assert refused.status_code == 422
    assert hashlib.sha256(other).hexdigest() in refused.json()["detail"]
    assert await trusted.counted() == NO_FILE
    again = await trusted.complete(told, [])
    assert again.status_code == 410
    assert again.json()["detail"] == refused.json()["detail"]


@pytest.mark.parametrize("moment", ["before the copy", "while the copy is read"])
async def test_an_object_that_is_exchanged_cannot_count(
    trusted: Trusted, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whatever lies under the client's own key, only bytes that were read are recorded."""
    told = await trusted.begun(CONTENT)
    parts = await trusted.send(told, CONTENT)
    objects = trusted.pair.objects
    key = f"direct/tundra/{told['upload_id']}"
    copy, read = objects.copy, direct_upload._read

    async def exchanged_copy(source: str, target: str) -> None:
        await objects.put(key, b"evil")
        await copy(source, target)

    async def exchanged_read(*given: Any) -> Any:
        await objects.put(key, b"evil")
        return await read(*given)

    if moment == "before the copy":
        monkeypatch.setattr(objects, "copy", exchanged_copy)
    else:
        monkeypatch.setattr(direct_upload, "_read", exchanged_read)
    answer = await trusted.complete(told, parts)
    if moment == "before the copy":
        assert answer.status_code == 422
        assert await trusted.counted() == NO_FILE
    else:
        assert answer.json()["verdict"] == "accepted"
        [upload] = await trusted.pair.rows(Upload)
        assert await objects.get(upload.incoming_key) == CONTENT
        assert await trusted.counted() == (1, 1, [upload.incoming_key])


@pytest.mark.parametrize("cut_at", ["copy", "_read", "count_whole"])
async def test_a_completion_that_was_cut_short_is_finished_by_the_next(
    trusted: Trusted, monkeypatch: pytest.MonkeyPatch, cut_at: str
) -> None:
    told = await trusted.begun(CONTENT)
    parts = await trusted.send(told, CONTENT)

    async def down(*_: Any) -> Any:
        raise DependencyDown("away")

    with monkeypatch.context() as broken:
        broken.setattr(trusted.pair.objects if cut_at == "copy" else direct_upload, cut_at, down)
        assert (await trusted.complete(told, parts)).status_code == 503
    assert (await trusted.pair.rows(Upload)) == []
    if cut_at == "_read":
        assert [item.key async for item in trusted.pair.objects.list("incoming/")] == []
    assert (await trusted.complete(told, parts)).json()["verdict"] == "accepted"
    [upload] = await trusted.pair.rows(Upload)
    await sweep_rowless(trusted.pair.catalog, trusted.pair.objects, 0)
    assert await trusted.counted() == (1, 1, [upload.incoming_key])


async def test_an_aborted_upload_is_gone_and_its_urls_are_dead(trusted: Trusted) -> None:
    told = await trusted.begun(CONTENT)
    parts = await trusted.send(told, CONTENT)
    assert (await trusted.client.delete(f"{URL}/{told['upload_id']}")).status_code == 204
    assert (await trusted.complete(told, parts)).status_code == 410
    assert (await trusted.client.delete(f"{URL}/{told['upload_id']}")).status_code == 410
    assert (await trusted.plain.put(told["parts"][0]["url"], content=b"x")).status_code == 404
    assert await trusted.counted() == NO_FILE


async def test_abandoned_uploads_are_tidied_with_or_without_a_row(trusted: Trusted) -> None:
    pair = trusted.pair
    direct = pair.objects.direct
    assert direct is not None
    told = await trusted.begun(CONTENT)
    await trusted.send(told, CONTENT, 1)
    await direct.begin("direct/tundra/0192d3e4-0000-7000-8000-000000000000")
    await direct.begin("incoming/tundra/0192d3e4-0000-7000-8000-000000000000")
    await tidy_partial_uploads(pair.catalog, pair.objects, 3600)
    assert len(await direct.begun("direct/")) == 2
    assert len(await direct.begun("incoming/")) == 1
    await tidy_partial_uploads(pair.catalog, pair.objects, 0)
    assert [one.key for one in await direct.begun("direct/")] == [f"direct/tundra/{told['upload_id']}"]
    assert await direct.begun("incoming/") == []
    async with pair.catalog.writing() as session:
        await session.execute(update(PartialUpload).values(expires_at=now() - timedelta(days=2)))
    assert (await trusted.complete(told, [])).status_code == 410
    await tidy_partial_uploads(pair.catalog, pair.objects, 3600)
    assert await direct.begun("direct/") == []
    assert await pair.rows(PartialUpload) == []


async def test_another_keys_upload_is_not_there(trusted: Trusted) -> None:
    told = await trusted.begun(CONTENT)
    key = await create_key(trusted.pair.catalog, scopes=[Scope.ADMIN])
    trusted.client.headers["Authorization"] = f"Bearer {key}"
    assert (await trusted.complete(told, [])).status_code == 404
    assert (await trusted.client.delete(f"{URL}/{told['upload_id']}")).status_code == 404


@pytest.mark.parametrize(
    ("more", "status", "named"),
    [
        ({"deployment": "south-9"}, 404, "south-9"),
        ({"bytes": 0}, 422, "bytes"),
        ({"bytes": 2 << 30}, 413, str(1 << 30)),
        ({"part_bytes": 1000}, 422, "part_bytes"),
        ({"sha256": "abc"}, 422, "sha256"),
        ({"sha265": "abc"}, 422, "sha256"),
        ({"path": ""}, 422, "path"),
        ({"lane": "live", "priority": "bulk"}, 422, "priority"),
    ],
)
async def test_a_bad_wish_names_what_is_wrong(trusted: Trusted, more: dict[str, Any], status: int, named: str) -> None:
    answer = await trusted.begin(b"content", **more)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["detail"]
    assert await trusted.pair.rows(PartialUpload) == []


async def test_the_parts_are_chosen_where_nobody_says(trusted: Trusted) -> None:
    for size, parts in ((1, 1), (16 << 20, 1), ((16 << 20) + 1, 2), (1 << 30, 64)):
        told = await trusted.begun(b"", bytes=size, sha256=f"{size:064x}", part_bytes=None)
        assert len(told["parts"]) == parts
        assert sum(part["bytes"] for part in told["parts"]) == size
