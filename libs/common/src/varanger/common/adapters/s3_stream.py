"""`put_stream` of S3: what fits into one piece goes up by one PUT, a larger body by a multipart upload.

A piece is in memory before the store hears of it. So a client on a bad link keeps neither a thread nor a connection to
the store, which would give up on it, and a piece that met a broken connection is sent again.

Each PUT names the sha256 of its bytes in its signature, and the store refuses other bytes
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html). Of one piece that is the sha256 of the
whole, which is read here once; the `minio` client would read it a second time.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from urllib.parse import urlunsplit

from minio import time
from minio.error import InvalidResponseError, S3Error
from minio.signer import sign_v4_s3

from varanger.common.adapters.pieces import Piece, Sha256Of, in_pieces, to_its_end
from varanger.common.adapters.s3_link import S3Link, once_more
from varanger.common.errors import DependencyDown, ObjectMissing, PartsRefused
from varanger.common.ports.direct_uploads import DirectUploads, StoredPart

PIECE_BYTES = 8 << 20
"""Held in memory of each stream. Ten thousand parts, the most that S3 joins, are 80 GiB."""


class S3Stream:
    """One body on its way to one key."""

    def __init__(self, link: S3Link, uploads: DirectUploads, key: str, sha256: str) -> None:
        self._link = link
        self._uploads = uploads
        self._key = key
        self._sha256 = sha256
        self._come = Sha256Of()

    async def put(self, chunks: AsyncIterator[bytes]) -> int:
        """As the port says."""
        pieces = in_pieces(chunks, PIECE_BYTES)
        first = await anext(pieces)
        if sum(map(len, first)) < PIECE_BYTES:
            await to_its_end(self._link.run(self._key, self._put_whole, first))
        else:
            await self._put_parts(first, pieces)
        return self._come.bytes

    def _put_whole(self, piece: Piece) -> None:
        self._come.add(piece)
        self._come.check(self._sha256)
        self._send(piece, self._sha256, {})

    async def _put_parts(self, piece: Piece, others: AsyncGenerator[Piece, None]) -> None:
        upload = await self._uploads.begin(self._key)
        parts: list[StoredPart] = []

        try:
            while piece:
                put = self._link.run(self._key, self._put_part, upload, len(parts) + 1, piece)
                parts.append(await to_its_end(put))
                piece.clear()  # out of memory before the next one is gathered
                piece = await anext(others, [])
            self._come.check(self._sha256)
            await self._uploads.complete(self._key, upload, parts)
        except BaseException as error:
            with suppress(DependencyDown):  # then `tidy_partial_uploads` does, after a day
                await self._uploads.abort(self._key, upload)
            if isinstance(error, ObjectMissing | PartsRefused):
                raise DependencyDown(f"object store lost an upload: {error}") from error
            raise

    def _put_part(self, upload: str, number: int, piece: Piece) -> StoredPart:
        self._come.add(piece)
        own = hashlib.sha256()
        for chunk in piece:
            own.update(chunk)
        etag = self._send(piece, own.hexdigest(), {"uploadId": upload, "partNumber": str(number)})
        return StoredPart(number, sum(map(len, piece)), etag)

    def _send(self, piece: Piece, sha256: str, query: Mapping[str, str]) -> str:
        return once_more(_put_signed, self._link, self._key, piece, sha256, dict(query))


def _put_signed(link: S3Link, key: str, piece: Piece, sha256: str, query: dict[str, str]) -> str:
    """One PUT of bytes with this sha256; the ETag. The client's own methods hash what they send: it only signs here."""
    url = link.client._base_url.build(
        method="PUT", region=link.region, bucket_name=link.bucket, object_name=key, query_params=dict(query)
    )
    date = time.utcnow()
    headers = sign_v4_s3(
        method="PUT",
        url=url,
        region=link.region,
        headers={
            "Host": url.netloc,
            "Content-Length": str(sum(map(len, piece))),
            "Content-Type": "application/octet-stream",
            "x-amz-content-sha256": sha256,
            "x-amz-date": time.to_amz_date(date),
        },
        credentials=link.credentials.retrieve(),
        content_sha256=sha256,
        date=date,
    )
    response = link.http.urlopen("PUT", urlunsplit(url), body=piece, headers=headers)
    if response.status == 200:
        return response.headers.get("ETag", "").strip('"')
    if response.headers.get("Content-Type", "").startswith("application/xml") and response.data:
        raise S3Error.fromxml(response)
    raise InvalidResponseError(
        response.status, response.headers.get("Content-Type"), response.data.decode(errors="replace")
    )
