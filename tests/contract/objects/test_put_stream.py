"""What every `ObjectStore` promises of a body that comes as a stream, run on each adapter."""

import asyncio
import hashlib
import os
import tracemalloc
from urllib.parse import urlsplit

import pytest

from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.adapters.objects_memory import MemoryObjectStore
from varanger.common.adapters.objects_s3 import S3ObjectStore
from varanger.common.adapters.s3_stream import PIECE_BYTES
from varanger.common.errors import ContentDiffers, DependencyDown


class ClientGone(Exception):
    pass


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def coming(data: bytes, chunk_bytes: int = 65_536, *, cut_at: int | None = None):
    for start in range(0, len(data) if cut_at is None else cut_at, chunk_bytes):
        yield data[start : start + chunk_bytes]
        await asyncio.sleep(0)
    if cut_at is not None:
        raise ClientGone


async def keys(store, prefix: str) -> list[str]:
    return [stored.key async for stored in store.list(prefix)]


async def left_behind(store, prefix: str) -> list:
    """What no key names: files on their way, parts of an upload."""
    if isinstance(store, S3ObjectStore):
        return await store.direct.begun(prefix)
    if isinstance(store, FileObjectStore):
        return list(store._temporary.iterdir())
    return []


@pytest.fixture(params=["memory", "file", "s3"])
async def store(request, tmp_path):
    if request.param == "s3":
        store = S3ObjectStore(request.getfixturevalue("s3_url"))
    else:
        store = MemoryObjectStore() if request.param == "memory" else FileObjectStore(tmp_path / "objects")
    yield store
    await store.close()


SIZES = [0, 1, 65_536, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7]


@pytest.mark.parametrize("size", SIZES)
async def test_what_came_is_stored(store, base, size):
    data = os.urandom(size)
    await store.put(f"{base}/a", b"what was there before")
    assert await store.put_stream(f"{base}/a", coming(data, 100_001), sha256=sha256(data)) == size
    assert await store.get(f"{base}/a") == data
    assert await keys(store, base) == [f"{base}/a"]
    assert await left_behind(store, base) == []


@pytest.mark.parametrize("chunk_bytes", [1, 4 * PIECE_BYTES], ids=["single bytes", "one chunk of several pieces"])
async def test_chunks_may_be_of_any_size(store, base, chunk_bytes):
    data = os.urandom(2000 if chunk_bytes == 1 else 3 * PIECE_BYTES)
    await store.put_stream(f"{base}/a", coming(data, chunk_bytes), sha256=sha256(data))
    assert await store.get(f"{base}/a") == data


@pytest.mark.parametrize("size", [100_000, 2 * PIECE_BYTES + 7], ids=["small", "large"])
@pytest.mark.parametrize("wrong", ["changed", "short", "long", "none"])
async def test_other_bytes_than_promised_are_not_stored(store, base, size, wrong):
    data = os.urandom(size)
    came = {"changed": data[:-1] + bytes([data[-1] ^ 1]), "short": data[:-1], "long": data + b"x", "none": b""}[wrong]
    await store.put(f"{base}/a", b"what was there before")
    for key in (f"{base}/a", f"{base}/b"):
        with pytest.raises(ContentDiffers, match=sha256(data)) as raised:
            await store.put_stream(key, coming(came), sha256=sha256(data))
        assert raised.value.sha256 == sha256(came)
    assert await store.get(f"{base}/a") == b"what was there before"
    assert await keys(store, base) == [f"{base}/a"]
    assert await left_behind(store, base) == []


@pytest.mark.parametrize("cut_at", [0, 65_536, PIECE_BYTES, 3 * PIECE_BYTES])
async def test_a_stream_that_breaks_leaves_nothing(store, base, cut_at):
    data = os.urandom(3 * PIECE_BYTES)
    with pytest.raises(ClientGone):
        await store.put_stream(f"{base}/a", coming(data, cut_at=cut_at), sha256=sha256(data))
    assert await keys(store, base) == []
    assert await left_behind(store, base) == []


@pytest.mark.parametrize("after", [1, PIECE_BYTES // 65_536 * 2 + 1])
async def test_a_cancelled_stream_leaves_nothing(store, base, after):
    data = os.urandom(3 * PIECE_BYTES)
    stuck = asyncio.Event()

    async def stuck_after():
        for number in range(after):
            yield data[number * 65_536 : (number + 1) * 65_536]
        stuck.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(store.put_stream(f"{base}/a", stuck_after(), sha256=sha256(data)))
    await stuck.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await keys(store, base) == []
    assert await left_behind(store, base) == []


async def test_more_slow_streams_than_threads_stop_nobody(store, base):
    """A client on a bad link keeps no thread."""
    go_on = asyncio.Event()

    async def slow():
        yield b"a"
        await go_on.wait()
        yield b"b"

    slow_ones = [
        asyncio.create_task(store.put_stream(f"{base}/{number}", slow(), sha256=sha256(b"ab"))) for number in range(20)
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await store.put_stream(f"{base}/quick", coming(b"quick"), sha256=sha256(b"quick"))
    go_on.set()
    await asyncio.gather(*slow_ones)
    assert len(await keys(store, base)) == 21


async def test_a_malformed_key_is_refused(store):
    with pytest.raises(ValueError, match="key"):
        await store.put_stream("../a", coming(b"a"), sha256=sha256(b"a"))


async def test_a_large_stream_goes_through_with_flat_memory(base, s3_url, tmp_path):
    block, blocks = os.urandom(65_536), 1600
    whole = hashlib.sha256()
    for _ in range(blocks):
        whole.update(block)

    async def large():
        for _ in range(blocks):
            yield bytes(bytearray(block))

    for store in (S3ObjectStore(s3_url), FileObjectStore(tmp_path / "objects")):
        tracemalloc.start()
        await store.put_stream(f"{base}/large", large(), sha256=whole.hexdigest())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * PIECE_BYTES
        assert (await store.head(f"{base}/large")).bytes == blocks * len(block)
        await store.delete(f"{base}/large")
        await store.close()


async def test_the_store_itself_refuses_bytes_that_changed_on_the_way(base, s3_url, monkeypatch):
    """What is signed is the sha256 of the bytes, not the word of whoever sends them."""
    store = S3ObjectStore(s3_url)
    monkeypatch.setattr("varanger.common.adapters.pieces.Sha256Of.check", lambda *_: None)
    with pytest.raises(DependencyDown, match="SHA256"):
        await store.put_stream(f"{base}/a", coming(b"damaged"), sha256=sha256(b"picture"))
    assert await keys(store, base) == []
    await store.close()


@pytest.mark.parametrize("size", [100, 3 * PIECE_BYTES], ids=["small", "large"])
@pytest.mark.parametrize("gone", ["cut", "freeze"])
async def test_a_store_that_is_gone_says_so_and_is_there_again(base, s3_url, relay_to, size, gone):
    parts = urlsplit(s3_url)
    relay = await relay_to(parts.hostname, parts.port)
    user = parts.netloc.rpartition("@")[0]
    store = S3ObjectStore(f"s3://{user}@127.0.0.1:{relay.port}{parts.path}?{parts.query}&timeout=2")
    await store.ping()
    data = os.urandom(size)
    disturbing = getattr(relay, gone)()
    if disturbing is not None:
        await disturbing
    with pytest.raises(DependencyDown):
        async with asyncio.timeout(30):
            await store.put_stream(f"{base}/a", coming(data), sha256=sha256(data))
    if gone == "cut":
        await relay.open()
    else:
        relay.thaw()
    await store.put_stream(f"{base}/a", coming(data), sha256=sha256(data))
    assert await store.get(f"{base}/a") == data
    await store.close()
