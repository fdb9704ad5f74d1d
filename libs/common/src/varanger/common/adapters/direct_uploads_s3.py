"""`DirectUploads` of S3.

The `minio` client signs any request in public, but has no public calls for the steps of a multipart upload: these are
the methods that its own `put_object` is made of. `pyproject.toml` keeps it below 8.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from minio.datatypes import Part
from minio.error import S3Error

from varanger.common.adapters.object_keys import check_key
from varanger.common.adapters.s3_link import S3Link
from varanger.common.errors import DependencyDown, ObjectMissing, PartsRefused
from varanger.common.ports.direct_uploads import BegunUpload, StoredPart

_Answer = TypeVar("_Answer")

_REFUSED = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}


class S3DirectUploads:
    """Multipart uploads into the bucket of the link."""

    def __init__(self, link: S3Link) -> None:
        self._link = link
        self._client = link.client
        self._bucket = link.bucket

    async def begin(self, key: str) -> str:
        """One request; run once, since each one begins an upload."""
        return await self._link.run(
            check_key(key), lambda: self._client._create_multipart_upload(self._bucket, key, headers={})
        )

    def part_url(self, key: str, store_upload_id: str, number: int, expires_s: int) -> str:
        """Signed for the store's public address."""
        return self._link.signer.get_presigned_url(
            "PUT",
            self._bucket,
            check_key(key),
            expires=timedelta(seconds=expires_s),
            extra_query_params={"uploadId": store_upload_id, "partNumber": str(number)},
        )

    async def parts(self, key: str, store_upload_id: str) -> list[StoredPart]:
        """A thousand at a time."""
        return await self._link.ask(check_key(key), self._parts, key, store_upload_id)

    async def complete(self, key: str, store_upload_id: str, parts: Sequence[StoredPart]) -> None:
        """One request; of a second one some stores say it is missing, others repeat the answer."""
        named = [Part(part.number, part.etag) for part in sorted(parts, key=lambda part: part.number)]

        def complete() -> None:
            self._client._complete_multipart_upload(self._bucket, key, store_upload_id, named)

        await self._link.ask(check_key(key), _unless_refused, complete)
        try:
            # S3 may say 200 and then, in the body, that it failed; not every store says the new ETag there.
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
            await self._link.ask(key, self._client.stat_object, self._bucket, key)
        except ObjectMissing as error:
            raise DependencyDown(f"object store: {key!r} was not put together; try again") from error

    async def begun(self, prefix: str) -> list[BegunUpload]:
        """A thousand at a time."""
        return await self._link.ask(prefix, self._begun, prefix)

    async def abort(self, key: str, store_upload_id: str) -> None:
        """Nothing happens where it is over."""
        with suppress(ObjectMissing):
            await self._link.ask(
                check_key(key), lambda: self._client._abort_multipart_upload(self._bucket, key, store_upload_id)
            )

    def _parts(self, key: str, store_upload_id: str) -> list[StoredPart]:
        found: list[StoredPart] = []
        marker: str | None = None
        while True:
            page = self._client._list_parts(self._bucket, key, store_upload_id, part_number_marker=marker)
            found += [StoredPart(part.part_number, part.size or 0, part.etag.strip('"')) for part in page.parts]
            if not page.is_truncated:
                return found
            marker = str(page.next_part_number_marker)

    def _begun(self, prefix: str) -> list[BegunUpload]:
        found: list[BegunUpload] = []
        key_marker: str | None = None
        id_marker: str | None = None
        while True:
            page = self._client._list_multipart_uploads(
                self._bucket, prefix=prefix, key_marker=key_marker, upload_id_marker=id_marker
            )
            found += [
                BegunUpload(one.object_name, one.upload_id, one.initiated_time)
                for one in page.uploads
                if one.upload_id and one.initiated_time
            ]
            if not page.is_truncated:
                return found
            key_marker, id_marker = page.next_key_marker, page.next_upload_id_marker


def _unless_refused(work: Callable[[], _Answer]) -> _Answer:
    try:
        return work()
    except S3Error as error:
        if error.code in _REFUSED:
            raise PartsRefused(f"{error.code} {error.message or ''}".strip()) from error
        raise
