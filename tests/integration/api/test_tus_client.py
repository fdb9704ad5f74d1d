"""A client of other people's making (tuspy, of the tus project), over real sockets whose connections are cut."""

import asyncio
import hashlib
import os
import random
import resource
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.integration.api.conftest import Pair

from varanger.common.catalog.tables import Outbox, PartialUpload, Upload

TUSPY = """
import sys
from tusclient.client import TusClient
url, key, path, chunk, checksum = sys.argv[1:]
client = TusClient(url, headers={"Authorization": key})
uploader = client.uploader(path, chunk_size=int(chunk), retries=200, retry_delay=0,
    metadata={"filename": "DCIM/100RECNX/VIDEO.AVI"}, upload_checksum=checksum == "checksum")
uploader.upload()
print(uploader.url)
"""


class CuttingRelay:
    """Hands each connection to the next gateway, and cuts `cuts` of them after some bytes of a body."""

    def __init__(self, ports: list[int], cuts: int) -> None:
        self._ports = ports
        self._random = random.Random(7)
        self.cuts_left = cuts
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "CuttingRelay":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._ports[self.connections % 2])
        self.connections += 1
        limit = self._random.randrange(200_000, 2_500_000) if self.cuts_left else None
        back = asyncio.create_task(self._pump(far_reader, writer, None))
        self._tasks.add(back)
        there = asyncio.create_task(self._pump(reader, far_writer, limit))
        self._tasks.add(there)
        await asyncio.wait([there])
        if limit is not None and there.result():
            self.cuts_left -= 1
            writer.transport.abort()
        await asyncio.wait([back])

    @staticmethod
    async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, limit: int | None) -> bool:
        """Whether it was cut."""
        passed = 0
        try:
            while data := await source.read(1 << 16):
                passed += len(data)
                sink.write(data)
                await sink.drain()
                if limit is not None and passed > limit:
                    return True
        except OSError:
            pass
        finally:
            sink.close()
        return False


async def tuspy(url: str, pair: Pair, path: Path, chunk: int, checksum: str) -> str:
    place = f"{url}/v1/uploads/tus?project=tundra&deployment=north-1"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TUSPY, place, pair.headers["Authorization"], str(path), str(chunk), checksum,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode().strip()


@pytest.mark.parametrize(("chunk", "checksum"), [(1 << 62, "none"), (3_000_000, "none"), (1_000_000, "checksum")])
async def test_tuspy_brings_a_file_through_cut_connections(
    pair: Pair, tmp_path: Path, chunk: int, checksum: str
) -> None:
    content = os.urandom(12_345_678)
    path = tmp_path / "video.avi"
    path.write_bytes(content)
    async with CuttingRelay(pair.ports, cuts=8) as relay:
        at = await tuspy(relay.url, pair, path, chunk, checksum)
        if chunk > 1_000_000:
            assert relay.cuts_left == 0
        async with httpx.AsyncClient(headers=pair.headers | {"Tus-Resumable": "1.0.0"}) as client:
            head = await client.head(at)
    [upload] = await pair.rows(Upload)
    assert head.headers["varanger-verdict"] == "accepted"
    assert head.headers["varanger-media-id"] == str(upload.media_id)
    assert upload.sha256 == hashlib.sha256(content).hexdigest()
    assert (upload.original_path, upload.bytes) == ("DCIM/100RECNX/VIDEO.AVI", len(content))
    assert hashlib.sha256(await pair.objects.get(upload.incoming_key)).hexdigest() == upload.sha256
    assert await pair.keys("") == [upload.incoming_key]
    assert len(await pair.rows(Outbox)) == 1
    assert list(pair.spool.iterdir()) == []


class Tus:
    """A client that does one request at a time, at either gateway."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.headers = pair.headers | {"Tus-Resumable": "1.0.0"}
        self.client = httpx.AsyncClient(timeout=60, headers=self.headers)

    async def begin(self, length: int) -> str:
        told = {"Upload-Length": str(length), "Upload-Metadata": f"filename {b64encode(b'a.avi').decode()}"}
        answer = await self.client.post(f"{self.pair.urls[0]}/v1/uploads/tus", params=self.pair.query, headers=told)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    async def patch(self, at: str, offset: int, content, gateway: int = 0) -> httpx.Response:
        kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        return await self.client.patch(self.pair.urls[gateway] + at, content=content, headers=kind)

    async def offset(self, at: str, gateway: int = 0) -> int:
        answer = await self.client.head(self.pair.urls[gateway] + at)
        return int(answer.headers["upload-offset"])


@pytest.fixture
async def tus(pair: Pair) -> AsyncIterator[Tus]:
    tus = Tus(pair)
    yield tus
    await tus.client.aclose()


async def test_what_came_before_the_cut_is_kept_and_the_other_gateway_goes_on(pair: Pair, tus: Tus) -> None:
    content = os.urandom(20_000_000)
    at = await tus.begin(len(content))
    _, writer = await asyncio.open_connection("127.0.0.1", pair.ports[0])
    lines = [
        f"PATCH {at} HTTP/1.1",
        "Host: gateway",
        "Content-Type: application/offset+octet-stream",
        "Upload-Offset: 0",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in tus.headers.items()),
        "",
        "",
    ]
    writer.write("\r\n".join(lines).encode() + content[:9_999_999])
    await writer.drain()
    writer.close()
    async with asyncio.timeout(30):
        while await tus.offset(at, 1) < 9_999_999:
            await asyncio.sleep(0.01)
    assert await tus.offset(at, 1) == 9_999_999
    last = await tus.patch(at, 9_999_999, content[9_999_999:], gateway=1)
    assert last.headers["varanger-sha256"] == hashlib.sha256(content).hexdigest()
    assert len(await pair.keys("")) == 1


async def test_of_many_at_once_on_two_gateways_one_advances_and_each_byte_is_right(pair: Pair, tus: Tus) -> None:
    content = os.urandom(600_000)
    at = await tus.begin(len(content))
    offset = 0
    while offset < len(content):
        # Each sends the same bytes, of another length: pieces that were mixed would show in the hash.
        answers = await asyncio.gather(
            *(
                tus.patch(at, offset, content[offset : offset + 40_000 * (number + 1)], number % 2)
                for number in range(4)
            )
        )
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [204, 409, 409, 409], [answer.text for answer in answers]
        offset = await tus.offset(at)
    [upload] = await pair.rows(Upload)
    assert upload.sha256 == hashlib.sha256(content).hexdigest()
    assert await pair.keys("") == [upload.incoming_key]


async def test_a_large_file_in_one_request_needs_no_memory_of_its_size(pair: Pair, tus: Tus) -> None:
    block, blocks = os.urandom(1 << 20), 256
    at = await tus.begin(blocks << 20)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(blocks):
            yield block

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    last = await tus.patch(at, 0, body())
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert last.headers["varanger-verdict"] == "accepted", last.text
    assert grown_kib < (blocks << 10) / 2
    [row] = await pair.rows(PartialUpload)
    assert len(row.parts) == 32
    await pair.objects.delete((await pair.keys(""))[0])
