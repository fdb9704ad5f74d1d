"""`s3://key:secret@host:port/bucket?secure=false`: any S3, through the `minio` client, on threads of its own.

Further parameters: `region` (default `us-east-1`); `timeout` in seconds (default 10): what the store may take to
connect, to take one part of 8 MiB, or to send the next bytes; `public`, the store's address in the URLs that are
signed for clients, where they see it under another one. Nothing waits for long here: who calls backs off.
"""

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from minio.commonconfig import CopySource
from minio.datatypes import Object
from urllib3.response import BaseHTTPResponse

from varanger.common.adapters.direct_uploads_s3 import S3DirectUploads
from varanger.common.adapters.object_keys import check_key
from varanger.common.adapters.s3_link import S3Link
from varanger.common.adapters.s3_stream import S3Stream
from varanger.common.errors import DependencyDown, ObjectMissing
from varanger.common.ports.direct_uploads import DirectUploads
from varanger.common.ports.objects import Joined, StoredObject

_PART_BYTES = 8 << 20
"""A larger object goes up in parts, one after another, so that a put holds no more than this in memory."""
_LIST_BATCH = 1000
_LENGTH_UNKNOWN = -1


class S3ObjectStore:
    """`ObjectStore` in one bucket, which is made at the first use where it is missing."""

    def __init__(self, url: str, *, threads: int = 8) -> None:
        self._link = S3Link(url, threads=threads)
        self._client = self._link.client
        self._bucket = self._link.bucket
        self.direct: DirectUploads = S3DirectUploads(self._link)

    async def put(self, key: str, data: bytes | Path, *, content_type: str = "application/octet-stream") -> None:
        """One PUT, or a multipart upload for more than one part."""
        await self._link.ask(check_key(key), self._put, key, data, content_type)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, sha256: str) -> int:
        """In pieces of 8 MiB, each in memory before the store hears of it."""
        return await S3Stream(self._link, self.direct, check_key(key), sha256).put(chunks)

    async def get(self, key: str) -> bytes:
        """The whole object."""
        return await self._link.ask(check_key(key), self._get, key)

    async def fetch(self, key: str, path: Path) -> None:
        """Stream the object into a local file."""
        await self._link.ask(check_key(key), self._fetch, key, path)

    async def stream(self, key: str, *, chunk_bytes: int = 1 << 18) -> AsyncIterator[bytes]:
        """The object in chunks, over one connection."""
        response = await self._link.ask(check_key(key), self._open, key)
        whole = False
        try:
            while chunk := await self._link.run(key, response.read, chunk_bytes):
                yield chunk
            whole = True
        finally:
            if whole:
                response.release_conn()
            else:
                response.close()

    async def copy(self, source: str, target: str) -> None:
        """Server-side; above 5 GiB, the most that S3 copies at once, the client copies in parts."""
        if check_key(source) == check_key(target):
            await self._link.ask(source, self._client.stat_object, self._bucket, source)
            return
        await self._link.ask(source, self._client.copy_object, self._bucket, target, CopySource(self._bucket, source))

    async def join(self, sources: Sequence[str], target: str) -> Joined:
        """Through here: S3 itself joins only what is larger than 5 MiB each, and tells no sha256."""
        keys = [check_key(key) for key in sources]
        return await self._link.ask(", ".join(keys)[:200], self._join, keys, check_key(target))

    async def head(self, key: str) -> StoredObject | None:
        """What is there, or None."""
        try:
            return _stored(await self._link.ask(check_key(key), self._client.stat_object, self._bucket, key))
        except ObjectMissing:
            return None

    async def delete(self, key: str) -> None:
        """Remove."""
        with suppress(ObjectMissing):
            await self._link.ask(check_key(key), self._client.remove_object, self._bucket, key)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Every object whose key starts with `prefix`, a page at a time."""
        objects = self._client.list_objects(self._bucket, prefix, recursive=True)
        while batch := await self._link.run(prefix, lambda: list(islice(objects, _LIST_BATCH))):
            for found in batch:
                yield _stored(found)

    async def ping(self) -> None:
        """Raises DependencyDown where the store or its bucket does not answer."""
        await self._link.ping()

    async def close(self) -> None:
        """Wait for what is under way, let threads and connections go."""
        await self._link.close()

    def _put(self, key: str, data: bytes | Path, content_type: str) -> None:
        with BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
            size = len(data) if isinstance(data, bytes) else data.stat().st_size
            self._put_stream(key, file, size, content_type)

    def _put_stream(self, key: str, file: BinaryIO, size: int, content_type: str) -> None:
        self._client.put_object(
            self._bucket, key, file, size, content_type=content_type, part_size=_PART_BYTES, num_parallel_uploads=1
        )

    def _join(self, sources: Sequence[str], target: str) -> Joined:
        reader = _JoinedReader(self._open(key) for key in sources)
        try:
            # The client only ever calls `read(bytes)`.
            self._put_stream(target, cast(BinaryIO, reader), _LENGTH_UNKNOWN, "application/octet-stream")
        finally:
            reader.close()
        return reader.joined()

    def _open(self, key: str) -> BaseHTTPResponse:
        return self._client.get_object(self._bucket, key)

    def _get(self, key: str) -> bytes:
        response = self._open(key)
        try:
            data = response.read()
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return data

    def _fetch(self, key: str, path: Path) -> None:
        response = self._open(key)
        try:
            with path.open("wb") as file:
                for chunk in response.stream(1 << 18):
                    file.write(chunk)
        except BaseException:
            response.close()
            raise
        response.release_conn()


class _JoinedReader:
    """Objects read one after another, each opened when its turn comes, and hashed on the way."""

    def __init__(self, responses: Iterator[BaseHTTPResponse]) -> None:
        self._responses = responses
        self._response: BaseHTTPResponse | None = None
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end of the last object. A short object raises ProtocolError."""
        while True:
            if self._response is None:
                self._response = next(self._responses, None)
            if self._response is None:
                return b""
            if chunk := self._response.read(size):
                self._sha256.update(chunk)
                self._bytes += len(chunk)
                return chunk
            self._response.release_conn()
            self._response = None

    def close(self) -> None:
        """Let go of an object that was not read to its end."""
        if self._response is not None:
            self._response.close()

    def joined(self) -> Joined:
        """What was read."""
        return Joined(self._bytes, self._sha256.hexdigest())


def _stored(found: Object) -> StoredObject:
    if found.object_name is None or found.size is None or found.last_modified is None:
        raise DependencyDown(f"object store answered without key, size or time: {found.object_name!r}")
    return StoredObject(found.object_name, found.size, found.last_modified)
