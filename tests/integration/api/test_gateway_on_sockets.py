"""Two gateways on real sockets, one PostgreSQL: what only a real server, client and database can show."""

import asyncio
import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from varanger.api.gateway.app import create_app
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.catalog import open_catalog
from varanger.common.settings import Settings

URL = "/v1/projects/tundra/deployments/north-1/media"


async def test_identical_uploads_to_two_gateways_at_once(gateways) -> None:
    async with httpx.AsyncClient(timeout=60) as client:

        async def send(number: int) -> list[str]:
            # Every other request brings the same files in the opposite order.
            contents = [b"a" * 9000, b"b" * 9000, b"own %d" % number][:: 1 if number % 2 else -1]
            files = [("files", (f"{n}.jpg", data)) for n, data in enumerate(contents)]
            answer = await client.post(gateways.urls[number % 2] + URL, files=files, headers=gateways.headers)
            assert answer.status_code == 201, answer.text
            return [result["verdict"] for result in answer.json()["results"]]

        verdicts = Counter(verdict for each in await asyncio.gather(*map(send, range(24))) for verdict in each)
    states, owed, keys = await gateways.settled()
    assert verdicts == {"accepted": 26, "duplicate": 46}
    assert states == {"pending": 26, "duplicate": 46}
    assert owed == len(keys) == 26


async def test_two_gigabytes_end_at_the_limit_with_flat_memory(gateways) -> None:
    sent = 0

    def flood() -> Iterator[bytes]:
        nonlocal sent
        yield b'--B\r\nContent-Disposition: form-data; name="files"; filename="big.jpg"\r\n\r\n'
        while sent < 2 << 30:
            sent += 1 << 16
            yield bytes(1 << 16)
        yield b"\r\n--B--\r\n"

    headers = gateways.headers | {"Content-Type": "multipart/form-data; boundary=B"}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = await asyncio.to_thread(httpx.post, gateways.urls[0] + URL, content=flood(), headers=headers, timeout=60)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert answer.status_code == 413
    assert str(gateways.largest_bytes) in answer.json()["detail"]
    assert sent < gateways.largest_bytes + (128 << 20)
    assert grown_kib < gateways.largest_bytes / 1024 / 2
    assert await gateways.settled() == (Counter(), 0, [])
    assert list(gateways.spool.iterdir()) == []


async def test_an_announced_two_gigabytes_are_refused_before_the_body(gateways) -> None:
    answer = await _raw(gateways, b"", length=2 << 30)
    assert b" 413 " in answer.splitlines()[0]


async def test_a_wrong_key_is_answered_before_the_body(gateways) -> None:
    gateways.headers = {"Authorization": "Bearer vgr_wrong"}
    answer = await _raw(gateways, b"", length=1000)
    assert b" 401 " in answer.splitlines()[0]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
async def test_a_cut_connection_leaves_nothing(gateways, share: float) -> None:
    part = b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n' + bytes(3 << 20) + b"\r\n"
    body = part + part + b"--B--\r\n"
    reader, writer = await _open(gateways, len(body))
    writer.write(body[: int(len(body) * share)])
    await writer.drain()
    writer.transport.abort()
    async with asyncio.timeout(30):
        while list(gateways.spool.iterdir()):
            await asyncio.sleep(0.01)
    assert await gateways.settled() == (Counter(), 0, [])
    async with httpx.AsyncClient() as client:
        healthy = await client.post(gateways.urls[0] + URL, files={"files": ("a", b"a")}, headers=gateways.headers)
    assert healthy.status_code == 201
    del reader


async def _open(gateways, length: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = gateways.urls[0].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    headers = gateways.headers | {
        "Host": host,
        "Content-Type": "multipart/form-data; boundary=B",
        "Content-Length": str(length),
    }
    lines = [f"POST {URL} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    await writer.drain()
    return reader, writer


async def _raw(gateways, body: bytes, *, length: int) -> bytes:
    """The answer to a request whose body never comes."""
    reader, writer = await _open(gateways, length)
    writer.write(body)
    async with asyncio.timeout(30):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer


async def test_without_its_database_a_gateway_answers_503_and_lives(gateways, tmp_path: Path) -> None:
    catalog = open_catalog("postgresql+psycopg://nobody@127.0.0.1:1/none")
    app = create_app(Settings(), catalog, gateways.objects, MemoryBus(()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        answer = await client.post(URL, files={"files": ("a", b"a")}, headers=gateways.headers)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
    await catalog.close()


async def test_what_a_database_cannot_hold_is_a_422(gateways) -> None:
    async with httpx.AsyncClient(base_url=gateways.urls[0], headers=gateways.headers) as client:
        assert (await client.get("/v1/media", params={"label": "a\x00b"})).status_code == 422
        assert (await client.get("/v1/projects/tun%00dra")).status_code == 422
        assert (await client.get("/v1/media", params={"label": "fox", "min_confidence": 0.5})).status_code == 200
