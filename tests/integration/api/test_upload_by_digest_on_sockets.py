"""`PUT /v1/uploads/sha256/{digest}` and `Idempotency-Key` as only real sockets and a real database can show them."""

import asyncio
import hashlib
from collections import Counter

import httpx
import pytest

from varanger.api.gateway import intake

WHERE = {"project": "tundra", "deployment": "north-1", "path": "DCIM/a.jpg"}


def address(data: bytes) -> str:
    return f"/v1/uploads/sha256/{hashlib.sha256(data).hexdigest()}"


async def begin_put(gateways, data: bytes, *, announced: int | None = None, **headers: str):
    """A PUT whose headers are sent, and nothing else."""
    host, port = gateways.urls[0].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    length = len(data) if announced is None else announced
    sent = gateways.headers | {"Host": host, "Content-Length": str(length)} | headers
    query = "&".join(f"{name}={value}" for name, value in WHERE.items())
    lines = [f"PUT {address(data)}?{query} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    await writer.drain()
    return reader, writer


async def answer_of(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(30):
        return (await reader.readuntil(b"\r\n\r\n")).decode()


async def nothing_was_kept(gateways) -> bool:
    async with asyncio.timeout(30):
        while list(gateways.spool.iterdir()):
            await asyncio.sleep(0.01)
    return await gateways.settled() == (Counter(), 0, [])


async def test_the_same_file_put_to_two_gateways_at_once_is_accepted_once(gateways):
    data = b"same" * 500_000
    async with httpx.AsyncClient(timeout=60, headers=gateways.headers) as client:
        answers = await asyncio.gather(
            *(client.put(gateways.urls[n % 2] + address(data), content=data, params=WHERE) for n in range(10))
        )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 9}
    assert len({answer.json()["media_id"] for answer in answers}) == 1
    states, owed, keys = await gateways.settled()
    assert states == {"pending": 1}, "the same file of the same path leaves no further row"
    assert owed == len(keys) == 1
    assert await gateways.objects.get(keys[0]) == data


async def test_a_client_that_asks_first_sends_an_unknown_file_and_keeps_a_known_one(gateways):
    data = b"x" * 100_000
    reader, writer = await begin_put(gateways, data, Expect="100-continue")
    assert " 100 " in (await answer_of(reader)).splitlines()[0]
    writer.write(data)
    assert " 201 " in (await answer_of(reader)).splitlines()[0]
    writer.close()
    reader, writer = await begin_put(gateways, data, Expect="100-continue")
    assert " 200 " in (await answer_of(reader)).splitlines()[0]
    writer.close()
    states, _, keys = await gateways.settled()
    assert states == {"pending": 1}, "the same file of the same path leaves no further row"
    assert len(keys) == 1


async def test_a_known_file_is_answered_though_its_body_never_comes(gateways):
    data = b"y" * 100_000
    async with httpx.AsyncClient(headers=gateways.headers) as client:
        await client.put(gateways.urls[0] + address(data), content=data, params=WHERE)
        reader, writer = await begin_put(gateways, data)
        assert " 200 " in (await answer_of(reader)).splitlines()[0]
        writer.close()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9999])
async def test_a_cut_connection_leaves_nothing(gateways, share):
    data = bytes(5 << 20)
    _, writer = await begin_put(gateways, data)
    writer.write(data[: int(len(data) * share)])
    await writer.drain()
    writer.transport.abort()
    assert await nothing_was_kept(gateways)
    async with httpx.AsyncClient(headers=gateways.headers, timeout=60) as client:
        whole = await client.put(gateways.urls[0] + address(data), content=data, params=WHERE)
    assert whole.status_code == 201


async def test_a_body_shorter_than_announced_leaves_nothing(gateways):
    data = b"z" * 1000
    reader, writer = await begin_put(gateways, data, announced=2000)
    writer.write(data)
    writer.write_eof()
    await reader.read()
    writer.close()
    assert await nothing_was_kept(gateways)


async def test_a_slow_client_is_taken_and_a_silent_one_given_up(gateways, monkeypatch):
    monkeypatch.setattr(intake, "LONGEST_SILENCE_S", 0.5)
    data = b"slow"
    reader, writer = await begin_put(gateways, data)
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)
    assert " 201 " in (await answer_of(reader)).splitlines()[0]
    writer.close()
    reader, writer = await begin_put(gateways, b"silent")
    writer.write(b"sil")
    assert " 408 " in (await answer_of(reader)).splitlines()[0]
    writer.close()
    assert (await gateways.settled())[0] == {"pending": 1}


async def test_one_idempotency_key_at_two_gateways_is_carried_out_once(gateways):
    files = {"files": ("a.jpg", b"a" * 10_000)}
    url = "/v1/projects/tundra/deployments/north-1/media"
    headers = gateways.headers | {"Idempotency-Key": "one"}
    async with httpx.AsyncClient(timeout=60, headers=headers) as client:

        async def until_answered(number: int) -> httpx.Response:
            while True:
                answer = await client.post(gateways.urls[number % 2] + url, files=files)
                if answer.status_code != 409:
                    return answer
                assert int(answer.headers["retry-after"]) > 0
                await asyncio.sleep(0.05)

        answers = await asyncio.gather(*(until_answered(number) for number in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    states, owed, keys = await gateways.settled()
    assert states == {"pending": 1}
    assert owed == len(keys) == 1
