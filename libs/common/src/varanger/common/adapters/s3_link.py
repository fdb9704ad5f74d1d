"""What everything that speaks S3 shares: the client of one bucket, its threads, and what its faults mean."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import urllib3
from minio import Minio
from minio.credentials.providers import StaticProvider
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError, ProtocolError

from varanger.common.errors import DependencyDown, ObjectMissing

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")

_BUCKET_IS_THERE = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
_MISSING = {"NoSuchKey", "NoSuchUpload"}


class S3Link:
    """One bucket, made at the first use where it is missing."""

    def __init__(self, url: str, *, threads: int) -> None:
        parts = urlsplit(url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.bucket = parts.path.strip("/")
        if not parts.hostname or not self.bucket or "/" in self.bucket:
            raise ValueError("VARANGER_OBJECTS_URL: s3://key:secret@host:port/bucket needs a host and one bucket")
        timeout_s = float(query.get("timeout", "10"))
        self._where = f"{parts.netloc.rpartition('@')[2]}/{self.bucket}"
        self.http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s), maxsize=threads, retries=False
        )

        self.region = query.get("region", "us-east-1")
        self.credentials = StaticProvider(unquote(parts.username or ""), unquote(parts.password or ""))

        def client(address: str, *, secure: bool) -> Minio:
            return Minio(
                address,
                credentials=self.credentials,
                secure=secure,
                region=self.region,
                http_client=self.http,
            )

        self.client = client(parts.netloc.rpartition("@")[2], secure=query.get("secure", "true").lower() != "false")
        self.signer = self.client
        """Signs URLs for others; they may see the store under another address."""
        if "public" in query:
            public = urlsplit(query["public"])
            if public.scheme not in {"http", "https"} or not public.netloc or public.path.strip("/"):
                raise ValueError(
                    "VARANGER_OBJECTS_URL: public= is the store's address for others, like https://host:port"
                )
            self.signer = client(public.netloc, secure=public.scheme == "https")
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="objects-s3")
        self._bucket_lock = threading.Lock()
        self._bucket_seen = False

    async def ask(
        self, key: str, work: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Answer:
        """Run what may be run twice."""
        return await self.run(key, lambda: once_more(work, *args, **kwargs))

    async def run(
        self, key: str, work: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Answer:
        """Run on a thread. Raises ObjectMissing and DependencyDown for what the store's client raises."""

        def guarded() -> _Answer:
            try:
                self._make_bucket()
                return work(*args, **kwargs)
            except S3Error as error:
                if error.code in _MISSING and self._has_bucket():
                    raise ObjectMissing(f"no object {key!r}") from error
                raise DependencyDown(f"object store {self._where}: {error.code}: {error.message}") from error
            except InvalidResponseError as error:
                # Its text holds a whole page of some proxy's HTML.
                raise DependencyDown(f"object store {self._where}: {str(error)[:200]}") from error
            except (MinioException, HTTPError) as error:
                raise DependencyDown(f"object store {self._where}: {type(error).__name__}: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)

    async def ping(self) -> None:
        """Raises DependencyDown where the store or its bucket does not answer."""
        if not await self.ask("", self.client.bucket_exists, self.bucket):
            raise DependencyDown(f"object store {self._where}: there is no such bucket")

    async def close(self) -> None:
        """Wait for what is under way, let threads and connections go."""
        await asyncio.to_thread(self._threads.shutdown)
        self.http.clear()

    def _make_bucket(self) -> None:
        if self._bucket_seen:
            return
        with self._bucket_lock:
            if not self._bucket_seen and not once_more(self.client.bucket_exists, self.bucket):
                try:
                    self.client.make_bucket(self.bucket)
                except S3Error as error:
                    if error.code not in _BUCKET_IS_THERE:
                        raise
            self._bucket_seen = True

    def _has_bucket(self) -> bool:
        """A HEAD says "no such key" for a missing bucket too."""
        try:
            return self.client.bucket_exists(self.bucket)
        except (MinioException, HTTPError):
            return False


def once_more(work: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs) -> _Answer:
    """Call, and once again where the connection was dropped: stores close idle ones. For idempotent calls."""
    try:
        return work(*args, **kwargs)
    except ProtocolError as error:
        if any(isinstance(cause, TimeoutError) for cause in error.args):
            raise
        return work(*args, **kwargs)
