"""What `DirectUploads` promises (varanger.common.ports.direct_uploads): real signed URLs, a real store."""

import os
from urllib.parse import urlsplit

import httpx
import pytest

from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.adapters.objects_memory import MemoryObjectStore
from varanger.common.adapters.objects_s3 import S3ObjectStore
from varanger.common.errors import DependencyDown, ObjectMissing, PartsRefused
from varanger.common.ports.direct_uploads import SMALLEST_PART_BYTES, StoredPart


@pytest.fixture
async def s3(s3_url):
    store = S3ObjectStore(s3_url)
    yield store
    await store.close()


async def send(url: str, data: bytes) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.put(url, content=data)).status_code


async def begun(store, key: str, *sizes: int) -> tuple[str, list[bytes]]:
    """An upload with these parts sent."""
    upload = await store.direct.begin(key)
    parts = [os.urandom(size) for size in sizes]
    for number, data in enumerate(parts, 1):
        assert await send(store.direct.part_url(key, upload, number, 60), data) == 200
    return upload, parts


async def test_parts_become_one_object_when_completed(s3, base):
    key = f"{base}/direct"
    upload, parts = await begun(s3, key, SMALLEST_PART_BYTES, 7)
    assert await s3.head(key) is None
    found = await s3.direct.parts(key, upload)
    assert [(part.number, part.bytes) for part in found] == [(1, SMALLEST_PART_BYTES), (2, 7)]
    await s3.direct.complete(key, upload, found)
    assert await s3.get(key) == b"".join(parts)
    with pytest.raises(ObjectMissing):
        await s3.direct.parts(key, upload)
    assert await send(s3.direct.part_url(key, upload, 1, 60), b"too late") == 404
    await s3.direct.abort(key, upload)
    assert await s3.get(key) == b"".join(parts)


async def test_more_parts_than_one_page_are_listed(s3, base):
    key = f"{base}/direct"
    upload = await s3.direct.begin(key)
    async with httpx.AsyncClient() as client:
        for number in range(1, 1006):
            await client.put(s3.direct.part_url(key, upload, number, 60), content=b"x")
    assert [part.number for part in await s3.direct.parts(key, upload)] == list(range(1, 1006))
    await s3.direct.abort(key, upload)


@pytest.mark.parametrize("wrong", ["etag", "missing", "small"])
async def test_wrong_parts_are_refused_and_can_be_mended(s3, base, wrong):
    key = f"{base}/direct"
    upload, _ = await begun(s3, key, 9 if wrong == "small" else SMALLEST_PART_BYTES, 7)
    found = await s3.direct.parts(key, upload)
    named = {
        "etag": [StoredPart(1, found[0].bytes, "0" * 32), found[1]],
        "missing": [*found, StoredPart(3, 7, found[1].etag)],
        "small": found,
    }[wrong]
    with pytest.raises(PartsRefused):
        await s3.direct.complete(key, upload, named)
    assert await s3.head(key) is None
    assert len(await s3.direct.parts(key, upload)) == 2
    await s3.direct.abort(key, upload)


async def test_an_aborted_upload_is_over(s3, base):
    key = f"{base}/direct"
    upload, _ = await begun(s3, key, 7)
    found = await s3.direct.parts(key, upload)
    for _ in range(2):
        await s3.direct.abort(key, upload)
    # radosgw takes the end of an upload for its completion under way, and asks to be asked again.
    with pytest.raises((ObjectMissing, DependencyDown)):
        await s3.direct.complete(key, upload, found)
    with pytest.raises(ObjectMissing):
        await s3.direct.parts(key, upload)
    assert await s3.head(key) is None


async def test_a_url_is_for_one_part_of_one_upload(s3, base):
    key = f"{base}/direct"
    upload = await s3.direct.begin(key)
    url = s3.direct.part_url(key, upload, 1, 60)
    async with httpx.AsyncClient() as client:
        for other in (url.replace("partNumber=1", "partNumber=2"), url.replace("/direct?", "/other?")):
            assert other != url
            assert (await client.put(other, content=b"x")).status_code == 403
        assert (await client.get(url)).status_code == 403
        assert (await client.delete(url)).status_code == 403
    await s3.direct.abort(key, upload)


async def test_clients_that_see_the_store_elsewhere_get_urls_for_there(s3_url, relay_to, base):
    parts = urlsplit(s3_url)
    relay = await relay_to(parts.hostname, parts.port)
    store = S3ObjectStore(f"{s3_url}&public=http://localhost:{relay.port}")
    key = f"{base}/direct"
    upload = await store.direct.begin(key)
    url = store.direct.part_url(key, upload, 1, 60)
    assert urlsplit(url).netloc == f"localhost:{relay.port}"
    assert await send(url, b"by another way") == 200
    await store.direct.complete(key, upload, await store.direct.parts(key, upload))
    assert await store.get(key) == b"by another way"
    await store.close()


@pytest.mark.parametrize("public", ["objects.example.org", "ftp://objects.example.org", "https://example.org/objects"])
def test_a_public_address_is_a_host_of_http(s3_url, public):
    with pytest.raises(ValueError, match="public="):
        S3ObjectStore(f"{s3_url}&public={public}")


async def test_a_store_that_is_gone_says_so(s3_url, relay_to, base):
    parts = urlsplit(s3_url)
    relay = await relay_to(parts.hostname, parts.port)
    user = parts.netloc.rpartition("@")[0]
    store = S3ObjectStore(f"s3://{user}@127.0.0.1:{relay.port}{parts.path}?{parts.query}&timeout=2")
    key = f"{base}/direct"
    upload = await store.direct.begin(key)
    await relay.cut()
    for asked in (
        store.direct.begin(key),
        store.direct.parts(key, upload),
        store.direct.complete(key, upload, [StoredPart(1, 1, "0" * 32)]),
        store.direct.abort(key, upload),
    ):
        with pytest.raises(DependencyDown):
            await asked
    await relay.open()
    await store.direct.abort(key, upload)
    await store.close()


def test_only_s3_has_them(tmp_path):
    assert MemoryObjectStore().direct is None
    assert FileObjectStore(tmp_path).direct is None
