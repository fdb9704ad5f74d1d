"""What the S3 adapter promises beyond the contract."""

import asyncio
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import urllib3
from minio import Minio

from varanger.common.adapters.objects_s3 import S3ObjectStore
from varanger.common.errors import DependencyDown, ObjectMissing


@pytest.fixture
def client(s3_url):
    parts = urlsplit(s3_url)
    pool = urllib3.PoolManager(timeout=10.0, retries=False)
    yield Minio(
        parts.netloc.rpartition("@")[2],
        access_key=parts.username,
        secret_key=parts.password,
        secure="secure=true" in parts.query,
        region="us-east-1",
        http_client=pool,
    )
    pool.clear()


@pytest.fixture
def fresh_bucket(s3_url, client):
    """The URL of a bucket that does not exist yet."""
    bucket = f"varanger-test-{uuid4().hex[:12]}"
    parts = urlsplit(s3_url)
    yield bucket, f"s3://{parts.netloc}/{bucket}?{parts.query}"
    if client.bucket_exists(bucket):
        for found in list(client.list_objects(bucket, recursive=True)):
            client.remove_object(bucket, found.object_name)
        client.remove_bucket(bucket)


async def test_the_bucket_is_made_at_the_first_use(client, fresh_bucket):
    bucket, url = fresh_bucket
    stores = [S3ObjectStore(url) for _ in range(3)]
    await asyncio.gather(*(store.put(f"a/{number}", b"x") for number, store in enumerate(stores)))
    assert client.bucket_exists(bucket)
    assert len([stored async for stored in stores[0].list("")]) == 3
    for store in stores:
        await store.close()


async def test_a_bucket_that_vanishes_is_not_a_missing_object(client, fresh_bucket):
    bucket, url = fresh_bucket
    store = S3ObjectStore(url)
    with pytest.raises(ObjectMissing):
        await store.get("a")
    client.remove_bucket(bucket)
    for asked in (store.get("a"), store.head("a"), store.copy("a", "b"), store.put("a", b""), store.ping()):
        with pytest.raises(DependencyDown):
            await asked
    await store.close()


async def test_wrong_credentials_are_a_dependency_down(s3_url):
    parts = urlsplit(s3_url)
    store = S3ObjectStore(f"s3://varanger:wrong@{parts.netloc.rpartition('@')[2]}{parts.path}?{parts.query}")
    for asked in (store.put("a", b""), store.get("a"), store.ping()):
        with pytest.raises(DependencyDown):
            await asked
    await store.close()


async def test_a_silent_store_costs_a_bounded_time(s3_url, relay_to):
    parts = urlsplit(s3_url)
    relay = await relay_to(parts.hostname, parts.port or 443)
    user = parts.netloc.rpartition("@")[0]
    store = S3ObjectStore(f"s3://{user}@127.0.0.1:{relay.port}{parts.path}?{parts.query}&timeout=1")
    await store.put("silent/a", b"a" * 4_000_000)
    relay.freeze()
    for asked in (
        store.get("silent/a"),
        store.put("silent/b", b"b" * 20_000_000),
        store.copy("silent/a", "silent/c"),
        store.ping(),
    ):
        with pytest.raises(DependencyDown):
            async with asyncio.timeout(20):
                await asked
    relay.thaw()
    assert len(await store.get("silent/a")) == 4_000_000
    await store.close()


async def test_a_store_that_falls_silent_in_mid_stream_is_a_dependency_down(s3_url, relay_to):
    """Never a short object that looks whole."""
    parts = urlsplit(s3_url)
    relay = await relay_to(parts.hostname, parts.port or 443)
    user = parts.netloc.rpartition("@")[0]
    store = S3ObjectStore(f"s3://{user}@127.0.0.1:{relay.port}{parts.path}?{parts.query}&timeout=1")
    await store.put("stream/a", b"a" * 30_000_000)
    for disturb in (relay.freeze, relay.cut):
        stream = store.stream("stream/a", chunk_bytes=1000)
        await anext(stream)
        disturbing = disturb()
        if disturbing is not None:
            await disturbing
        with pytest.raises(DependencyDown):
            async for _ in stream:
                pass
        relay.thaw()
    await store.close()


@pytest.mark.parametrize("url", ["s3://key:secret@host:1/", "s3://key:secret@host:1", "s3://key:secret@host:1/a/b"])
def test_a_url_names_one_bucket(url):
    with pytest.raises(ValueError, match="one bucket"):
        S3ObjectStore(url)
