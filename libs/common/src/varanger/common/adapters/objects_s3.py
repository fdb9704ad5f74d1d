"""`s3://key:secret@host:port/bucket?secure=false`: any S3, through the `minio` client, on threads of its own.

Further parameters: `region` (default `us-east-1`) and `timeout` in seconds (default 10): what the store may take to
connect, to take one part of 8 MiB, or to send the next bytes. Nothing waits for long here: who calls backs off.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.datatypes import Object
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.response import BaseHTTPResponse

from varanger.common.adapters.object_keys import check_key
from varanger.common.errors import DependencyDown, ObjectMissing
from varanger.common.ports.objects import StoredObject

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")

_PART_BYTES = 8 << 20
"""A larger object goes up in parts, one after another, so that a put holds no more than this in memory."""
_LIST_BATCH = 1000
_BUCKET_IS_THERE = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


class S3ObjectStore:
    """`ObjectStore` in one bucket, which is made at the first use where it is missing."""

    def __init__(self, url: str, *, threads: int = 8) -> None:
        parts = urlsplit(url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self._bucket = parts.path.strip("/")
        if not parts.hostname or not self._bucket or "/" in self._bucket:
            raise ValueError("VARANGER_OBJECTS_URL: s3://key:secret@host:port/bucket needs a host and one bucket")
        timeout_s = float(query.get("timeout", "10"))
        self._where = f"{parts.netloc.rpartition('@')[2]}/{self._bucket}"
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s), maxsize=threads, retries=False
        )
        self._client = Minio(
            parts.netloc.rpartition("@")[2],
            access_key=unquote(parts.username or ""),
            secret_key=unquote(parts.password or ""),
            secure=query.get("secure", "true").lower() != "false",
            region=query.get("region", "us-east-1"),
            http_client=self._http,
        )
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="objects-s3")
        self._bucket_lock = threading.Lock()
        self._bucket_seen = False

    async def put(self, key: str, data: bytes | Path, *, content_type: str = "application/octet-stream") -> None:
        """One PUT, or a multipart upload for more than one part."""
        await self._ask(check_key(key), self._put, key, data, content_type)

    async def get(self, key: str) -> bytes:
        """The whole object."""
        return await self._ask(check_key(key), self._get, key)

    async def fetch(self, key: str, path: Path) -> None:
        """Stream the object into a local file."""
        await self._ask(check_key(key), self._fetch, key, path)

    async def stream(self, key: str, *, chunk_bytes: int = 1 << 18) -> AsyncIterator[bytes]:
        """The object in chunks, over one connection."""
        response = await self._ask(check_key(key), self._open, key)
        whole = False
        try:
            while chunk := await self._run(key, response.read, chunk_bytes):
                yield chunk
            whole = True
        finally:
            if whole:
                response.release_conn()
            else:
                response.close()

    async def copy(self, source: str, target: str) -> None:
        """Server-side; in parts for more than 5 GiB."""
        if check_key(source) == check_key(target):
            await self._ask(source, self._client.stat_object, self._bucket, source)
            return
        await self._ask(source, self._client.copy_object, self._bucket, target, CopySource(self._bucket, source))

    async def head(self, key: str) -> StoredObject | None:
        """What is there, or None."""
        try:
            return _stored(await self._ask(check_key(key), self._client.stat_object, self._bucket, key))
        except ObjectMissing:
            return None

    async def delete(self, key: str) -> None:
        """Remove."""
        with suppress(ObjectMissing):
            await self._ask(check_key(key), self._client.remove_object, self._bucket, key)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Every object whose key starts with `prefix`, a page at a time."""
        objects = self._client.list_objects(self._bucket, prefix, recursive=True)
        while batch := await self._run(prefix, lambda: list(islice(objects, _LIST_BATCH))):
            for found in batch:
                yield _stored(found)

    async def ping(self) -> None:
        """Raises DependencyDown where the store or its bucket does not answer."""
        if not await self._ask("", self._client.bucket_exists, self._bucket):
            raise DependencyDown(f"object store {self._where}: there is no such bucket")

    async def close(self) -> None:
        """Wait for what is under way, let threads and connections go."""
        await asyncio.to_thread(self._threads.shutdown)
        self._http.clear()

    async def _ask(
        self, key: str, work: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Answer:
        """Run what may be run twice."""
        return await self._run(key, lambda: _once_more(work, *args, **kwargs))

    async def _run(
        self, key: str, work: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Answer:
        def guarded() -> _Answer:
            try:
                self._make_bucket()
                return work(*args, **kwargs)
            except S3Error as error:
                if error.code == "NoSuchKey" and self._has_bucket():
                    raise ObjectMissing(f"no object {key!r}") from error
                raise DependencyDown(f"object store {self._where}: {error.code}: {error.message}") from error
            except InvalidResponseError as error:
                # Its text holds a whole page of some proxy's HTML.
                raise DependencyDown(f"object store {self._where}: {str(error)[:200]}") from error
            except (MinioException, HTTPError) as error:
                raise DependencyDown(f"object store {self._where}: {type(error).__name__}: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)

    def _make_bucket(self) -> None:
        if self._bucket_seen:
            return
        with self._bucket_lock:
            if not self._bucket_seen and not _once_more(self._client.bucket_exists, self._bucket):
                try:
                    self._client.make_bucket(self._bucket)
                except S3Error as error:
                    if error.code not in _BUCKET_IS_THERE:
                        raise
            self._bucket_seen = True

    def _has_bucket(self) -> bool:
        """A HEAD says "no such key" for a missing bucket too."""
        try:
            return self._client.bucket_exists(self._bucket)
        except (MinioException, HTTPError):
            return False

    def _put(self, key: str, data: bytes | Path, content_type: str) -> None:
        with BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
            size = len(data) if isinstance(data, bytes) else data.stat().st_size
            self._client.put_object(
                self._bucket,
                key,
                file,
                size,
                content_type=content_type,
                part_size=_PART_BYTES,
                num_parallel_uploads=1,
            )

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


def _once_more(work: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs) -> _Answer:
    """Call, and once again where the connection was dropped: stores close idle ones. For idempotent calls."""
    try:
        return work(*args, **kwargs)
    except ProtocolError as error:
        if any(isinstance(cause, TimeoutError) for cause in error.args):
            raise
        return work(*args, **kwargs)


def _stored(found: Object) -> StoredObject:
    if found.object_name is None or found.size is None or found.last_modified is None:
        raise DependencyDown(f"object store answered without key, size or time: {found.object_name!r}")
    return StoredObject(found.object_name, found.size, found.last_modified)
