"""What every `ObjectStore` promises (varanger.common.ports.objects), run on each adapter."""

import asyncio
import hashlib
import os
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

from varanger.common.errors import DependencyDown, ObjectMissing

MALFORMED = ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a b", "å", "a\\b", "a\0", "~temporary/x"]
BIG_BYTES = 96 << 20


async def read(stream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def keys(store, prefix: str) -> list[str]:
    return [stored.key async for stored in store.list(prefix)]


@pytest.mark.parametrize("data", [b"", b"one photo", os.urandom(700_000)], ids=["empty", "small", "chunks"])
async def test_bytes_come_back(store, base, data, tmp_path):
    key = f"{base}/photo.jpg"
    await store.put(key, data, content_type="image/jpeg")
    assert await store.get(key) == data
    assert await read(store.stream(key, chunk_bytes=65_536)) == data
    await store.fetch(key, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == data
    stored = await store.head(key)
    assert (stored.key, stored.bytes) == (key, len(data))
    assert abs(datetime.now(UTC) - stored.modified_at) < timedelta(minutes=5)


async def test_a_stream_comes_in_chunks(store, base):
    await store.put(f"{base}/a", os.urandom(100_000))
    sizes = [len(chunk) async for chunk in store.stream(f"{base}/a", chunk_bytes=30_000)]
    assert len(sizes) >= 4
    assert max(sizes) <= 30_000
    assert sum(sizes) == 100_000


async def test_a_stream_can_be_left_early(store, base):
    await store.put(f"{base}/a", os.urandom(300_000))
    stream = store.stream(f"{base}/a", chunk_bytes=1000)
    assert len(await anext(stream)) == 1000
    await stream.aclose()
    assert len(await store.get(f"{base}/a")) == 300_000


async def test_a_local_file_goes_in(store, base, tmp_path):
    (tmp_path / "local").write_bytes(b"from a file")
    await store.put(f"{base}/a", tmp_path / "local")
    assert await store.get(f"{base}/a") == b"from a file"
    assert (tmp_path / "local").read_bytes() == b"from a file"


async def test_a_missing_local_file_is_the_callers_fault(store, base, tmp_path):
    with pytest.raises(FileNotFoundError):
        await store.put(f"{base}/a", tmp_path / "nowhere")
    await store.put(f"{base}/a", b"a")
    with pytest.raises(FileNotFoundError):
        await store.fetch(f"{base}/a", tmp_path / "no" / "such" / "folder")
    assert await store.head(f"{base}/a") is not None


async def test_put_replaces(store, base):
    await store.put(f"{base}/a", b"first, and longer")
    await store.put(f"{base}/a", b"second")
    assert await store.get(f"{base}/a") == b"second"
    assert await keys(store, base) == [f"{base}/a"]


async def test_missing_is_said_so(store, base, tmp_path):
    key = f"{base}/missing"
    for asked in (store.get(key), store.fetch(key, tmp_path / "x"), store.copy(key, f"{base}/b"), store.copy(key, key)):
        with pytest.raises(ObjectMissing):
            await asked
    with pytest.raises(ObjectMissing):
        await anext(store.stream(key))
    assert await store.head(key) is None
    assert await store.head(base) is None
    assert await keys(store, base) == []
    assert not (tmp_path / "x").exists()
    await store.delete(key)


async def test_delete_removes(store, base):
    await store.put(f"{base}/a", b"1")
    await store.put(f"{base}/b", b"2")
    await store.delete(f"{base}/a")
    assert await keys(store, base) == [f"{base}/b"]
    with pytest.raises(ObjectMissing):
        await store.get(f"{base}/a")


@pytest.mark.parametrize("key", [*MALFORMED, "a" * 513, "a/" + "b" * 201])
async def test_malformed_keys_are_refused(store, key, tmp_path):
    for asked in (
        store.put(key, b""),
        store.get(key),
        store.fetch(key, tmp_path / "x"),
        store.copy(key, "a"),
        store.copy("a", key),
        store.join([key], "a"),
        store.join([], key),
        store.head(key),
        store.delete(key),
        anext(store.stream(key)),
    ):
        with pytest.raises(ValueError, match="key"):
            await asked


async def test_the_longest_key_fits(store, base):
    key = "/".join([base, "a" * 200, "b" * 200, "c" * (512 - len(base) - 403)])
    assert len(key) == 512
    await store.put(key, b"deep")
    assert await store.get(key) == b"deep"


async def test_a_copy_is_the_same_bytes_once_or_twice(store, base):
    await store.put(f"{base}/incoming/a", b"photo", content_type="image/jpeg")
    for _ in range(3):
        await store.copy(f"{base}/incoming/a", f"{base}/media/a.jpg")
    await store.copy(f"{base}/media/a.jpg", f"{base}/media/a.jpg")
    assert await store.get(f"{base}/media/a.jpg") == b"photo"
    await store.delete(f"{base}/incoming/a")
    assert await store.get(f"{base}/media/a.jpg") == b"photo"
    assert await keys(store, base) == [f"{base}/media/a.jpg"]


async def test_a_copy_is_independent_of_its_source(store, base):
    await store.put(f"{base}/a", b"before")
    await store.copy(f"{base}/a", f"{base}/b")
    await store.put(f"{base}/a", b"after")
    assert await store.get(f"{base}/b") == b"before"
    await store.copy(f"{base}/a", f"{base}/b")
    assert await store.get(f"{base}/b") == b"after"


@pytest.mark.parametrize(
    "sizes", [[], [0], [1], [3, 0, 5], [700_000] * 3, [6 << 20, 9 << 20, 1]], ids=["no", "0", "1", "few", "3", "big"]
)
async def test_joined_objects_are_one(store, base, sizes):
    pieces = [os.urandom(size) for size in sizes]
    keys_of_pieces = [f"{base}/piece/{number}" for number in range(len(pieces))]
    for key, piece in zip(keys_of_pieces, pieces, strict=True):
        await store.put(key, piece)
    await store.put(f"{base}/whole", b"what was there before")
    joined = await store.join(keys_of_pieces, f"{base}/whole")
    whole = b"".join(pieces)
    assert (joined.bytes, joined.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert await store.get(f"{base}/whole") == whole
    assert await keys(store, base) == [*keys_of_pieces, f"{base}/whole"]


async def test_hundreds_of_small_pieces_are_joined_in_the_order_given(store, base):
    names = [f"{base}/{number:03d}" for number in range(200)]
    room = asyncio.Semaphore(8)

    async def put(key: str) -> None:
        async with room:
            await store.put(key, key.encode())

    await asyncio.gather(*(put(key) for key in names))
    names.reverse()
    await store.join(names, f"{base}/whole")
    assert await store.get(f"{base}/whole") == b"".join(name.encode() for name in names)


async def test_a_join_with_a_missing_piece_leaves_nothing(store, base):
    await store.put(f"{base}/a", b"a" * (9 << 20))
    with pytest.raises(ObjectMissing):
        await store.join([f"{base}/a", f"{base}/missing"], f"{base}/whole")
    assert await keys(store, base) == [f"{base}/a"]


async def test_a_join_holds_no_whole_object_in_memory(store, base):
    await store.put(f"{base}/a", os.urandom(24 << 20))
    tracemalloc.start()
    joined = await store.join([f"{base}/a"] * 4, f"{base}/whole")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert joined.bytes == BIG_BYTES
    assert peak < BIG_BYTES // 3
    await store.delete(f"{base}/whole")


async def test_list_is_in_key_order_below_a_prefix(store, base):
    names = ["a/b", "a-b", "a.b", "a", "a0", "A", "aa/x/y", "aa/x.y", "a=b", "a_b", "b/1", "b/10", "b/2"]
    names.remove("a")  # a key is never another key's folder
    for name in names:
        await store.put(f"{base}/{name}", name.encode())
    assert await keys(store, f"{base}/") == sorted(f"{base}/{name}" for name in names)
    assert await keys(store, f"{base}/a") == sorted(f"{base}/{name}" for name in names if name.startswith("a"))
    assert await keys(store, f"{base}/aa/") == [f"{base}/aa/x.y", f"{base}/aa/x/y"]
    assert await keys(store, f"{base}/b/1") == [f"{base}/b/1", f"{base}/b/10"]
    assert await keys(store, f"{base}/nothing") == []
    assert [stored.bytes async for stored in store.list(f"{base}/b/")] == [3, 4, 3]


async def test_list_has_no_end_at_a_page(store, base):
    names = [f"{base}/{number:04d}" for number in range(1103)]
    room = asyncio.Semaphore(8)

    async def put(key: str) -> None:
        async with room:
            await store.put(key, b"x")

    await asyncio.gather(*(put(key) for key in names))
    assert await keys(store, f"{base}/") == names


async def test_concurrent_puts_of_one_key_leave_one_of_them_whole(store, base):
    bodies = [bytes([number]) * 400_000 for number in range(8)]
    done = asyncio.Event()
    seen: list[bytes] = []

    async def watch() -> None:
        while not done.is_set():
            try:
                seen.append(await store.get(f"{base}/a"))
            except ObjectMissing:
                await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(store.put(f"{base}/a", body) for body in bodies))
    done.set()
    await watching
    assert await store.get(f"{base}/a") in bodies
    assert all(body in bodies for body in seen)
    assert await keys(store, base) == [f"{base}/a"]


async def test_a_big_file_goes_through_with_flat_memory_and_a_free_loop(store, base, tmp_path):
    big, back = tmp_path / "big", tmp_path / "back"
    block = os.urandom(1 << 20)
    with big.open("wb") as file:
        for _ in range(BIG_BYTES >> 20):
            file.write(block)
    tracemalloc.start()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await store.put(f"{base}/video.avi", big)
    ticks_in_put, ticks = ticks, 0
    await store.fetch(f"{base}/video.avi", back)
    ticks_in_fetch = ticks
    ticking.cancel()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BIG_BYTES // 3
    assert (await store.head(f"{base}/video.avi")).bytes == BIG_BYTES
    with back.open("rb") as file:
        assert all(file.read(1 << 20) == block for _ in range(BIG_BYTES >> 20))
    assert ticks_in_put > 2
    assert ticks_in_fetch > 2
    await store.delete(f"{base}/video.avi")


async def test_a_store_that_is_gone_says_so_and_comes_back(rig, store, base, tmp_path):
    await store.put(f"{base}/a", b"a")
    await store.ping()
    await rig.take_away()
    for asked in (
        store.put(f"{base}/b", b"b"),
        store.get(f"{base}/a"),
        store.fetch(f"{base}/a", tmp_path / "x"),
        store.copy(f"{base}/a", f"{base}/c"),
        store.join([f"{base}/a"], f"{base}/c"),
        store.head(f"{base}/a"),
        store.delete(f"{base}/a"),
        anext(store.stream(f"{base}/a")),
        anext(store.list(base)),
        store.ping(),
    ):
        with pytest.raises(DependencyDown):
            async with asyncio.timeout(30):
                await asked
    await rig.bring_back()
    await store.ping()
    assert await store.get(f"{base}/a") == b"a"
    assert await keys(store, base) == [f"{base}/a"]
