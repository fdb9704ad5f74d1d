"""A tus upload's bytes: each piece durable in the object store before it counts, joined when the last has come.

Any gateway takes the next piece: nothing of an upload is kept in a process. A piece is written under a key of its own,
then one compare-and-swap on the row's offset makes it count; of two that come at once for the same offset one does, and
the other is removed. A connection that breaks leaves what had come until then.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from varanger.api.adapters import partial_rows
from varanger.api.application.accept_upload import Sender, Verdict, incoming_key
from varanger.api.application.partial_uploads import (
    NO_LONGER_THERE,
    Ports,
    UploadGone,
    WrongBytes,
    count_whole,
    find_upload,
    folder_of,
    told_again,
    verdict_of,
)
from varanger.common.catalog.tables import PartialUpload
from varanger.common.errors import ObjectMissing
from varanger.common.ids import new_id

PIECE_BYTES = 8 << 20
"""What is held in memory of one request, and lost at most when a gateway is killed."""
MOST_PIECES = 10_000
"""The row names each piece, and is written with each."""

KIND = "tus"
CHECKSUMS = ("sha1", "sha256", "md5")

_finishing: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
"""A client that asks again while its file is put together waits for that, instead of having it done twice at once."""


class OffsetMoved(Exception):
    """The upload is not at the offset that the client says."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"Upload-Offset: the upload stands at {offset}; go on from there")
        self.offset = offset


class PieceRefused(Exception):
    """More bytes than were announced, or too many pieces; nothing of the request counts. The text says which."""


class ChecksumWrong(Exception):
    """The bytes of a request have another checksum than it says; nothing of them counts."""


@dataclass(frozen=True)
class Checksum:
    """What the bytes of one request must hash to."""

    algorithm: str
    digest: bytes


async def receive(
    ports: Ports, upload: PartialUpload, offset: int, chunks: AsyncGenerator[bytes, None], checksum: Checksum | None
) -> PartialUpload:
    """Take the next bytes; the upload as it is then. What had come of a broken body counts, unless it has a checksum.

    Raises:
        OffsetMoved: the upload stands elsewhere, or another request was faster.
        PieceRefused, ChecksumWrong: as they say.
        UploadGone: it was ended meanwhile.
        DependencyDown: what was counted before it stays.
        Exception: what `chunks` raises, after what had come was kept.
    """
    if upload.offset != offset:
        raise OffsetMoved(upload.offset)
    pieces = _Pieces(ports, upload, checksum)
    broken: Exception | None = None
    while True:
        try:
            chunk = await anext(chunks, None)
        except Exception as error:
            broken = error
            break
        if chunk is None:
            break
        await pieces.add(chunk)
    await pieces.end(whole=broken is None)
    if broken is not None:
        raise broken
    return pieces.upload


class _Pieces:
    """The bytes of one request on their way into the store."""

    def __init__(self, ports: Ports, upload: PartialUpload, checksum: Checksum | None) -> None:
        self._ports = ports
        self.upload = upload
        self._checksum = checksum
        self._hash = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        self._waiting = bytearray()
        self._stored: list[dict[str, Any]] = []
        """In the store, and not counted yet."""
        self._end = upload.offset
        """Of what is stored."""

    async def add(self, chunk: bytes) -> None:
        if self._end + len(self._waiting) + len(chunk) > (self.upload.bytes or 0):
            await self._drop()
            raise PieceRefused(f"more bytes came than the {self.upload.bytes} that Upload-Length announced")
        if self._hash is not None:
            self._hash.update(chunk)
        self._waiting += chunk
        while len(self._waiting) >= PIECE_BYTES:
            await self._store()
            if self._checksum is None:
                await self._count()

    async def end(self, *, whole: bool) -> None:
        if self._checksum is not None and self._hash is not None:
            if not whole:
                await self._drop()
                return
            if self._hash.digest() != self._checksum.digest:
                await self._drop()
                raise ChecksumWrong(
                    f"the bytes of this request have {self._checksum.algorithm} {self._hash.hexdigest()}, "
                    f"Upload-Checksum says {self._checksum.digest.hex()}; send them again from {self.upload.offset}"
                )
        if self._waiting:
            await self._store()
        await self._count()

    async def _store(self) -> None:
        if len(self.upload.parts) + len(self._stored) >= MOST_PIECES:
            await self._drop()
            raise PieceRefused(f"the upload came in {MOST_PIECES} pieces already; begin again, with larger requests")
        data = bytes(memoryview(self._waiting)[:PIECE_BYTES])
        # A key of its own: another request may be writing a piece for the same offset.
        key = f"{folder_of(self.upload)}{self._end:012d}-{uuid4().hex}"
        await self._ports.objects.put(key, data)
        del self._waiting[:PIECE_BYTES]
        self._stored.append({"key": key, "offset": self._end, "bytes": len(data)})
        self._end += len(data)

    async def _count(self) -> None:
        if not self._stored:
            return
        # A connection lost in the commit leaves the pieces where they are; the end of the upload removes what is over.
        async with self._ports.catalog.writing() as session:
            counted = await partial_rows.advance(session, self.upload, self._stored)
        if not counted:
            await self._drop()
            raise OffsetMoved((await _as_it_is(self._ports, self.upload)).offset)
        parts = [*self.upload.parts, *self._stored]
        self.upload = PartialUpload(**{**self.upload.model_dump(), "parts": parts, "offset": self._end})
        self._stored = []

    async def _drop(self) -> None:
        for piece in self._stored:
            await self._ports.objects.delete(piece["key"])
        self._stored = []


async def finish(ports: Ports, upload: PartialUpload, sender: Sender) -> Verdict:
    """Make a file of an upload whose bytes are all here. May be called again after whatever cut it short.

    Raises:
        WrongBytes: the file is not the announced one.
        UploadGone: it was ended meanwhile.
        DependencyDown: call it again.
    """
    lock = _finishing.setdefault(upload.upload_id, asyncio.Lock())
    async with lock:
        upload = await _as_it_is(ports, upload)
        return verdict_of(upload) or await _join(ports, upload, sender)


async def _join(ports: Ports, upload: PartialUpload, sender: Sender) -> Verdict:
    media_id = new_id()
    keys = [piece["key"] for piece in upload.parts]
    try:
        found = await ports.objects.join(keys, incoming_key(upload.project_id, media_id))
    except ObjectMissing as error:
        # Another gateway was faster, and has removed the pieces; or they are lost, as after restoring a backup.
        async with ports.catalog.writing() as session:
            await partial_rows.end(session, upload.upload_id, "gone", {"reason": f"{error}; begin a new upload"})
        return await told_again(ports, upload)
    try:
        verdict = await count_whole(ports, upload, sender, media_id, found)
    except WrongBytes:
        await remove_pieces(ports, upload)
        raise
    await remove_pieces(ports, upload)
    return verdict


async def terminate(ports: Ports, upload: PartialUpload) -> None:
    """Forget the upload and its pieces. A file that it has become stays."""
    async with ports.catalog.writing() as session:
        await partial_rows.forget(session, upload.upload_id)
    await remove_pieces(ports, upload)


async def remove_pieces(ports: Ports, upload: PartialUpload) -> None:
    """Remove every piece of an upload that has ended, those that never counted too."""
    async for piece in ports.objects.list(folder_of(upload)):
        await ports.objects.delete(piece.key)


async def _as_it_is(ports: Ports, upload: PartialUpload) -> PartialUpload:
    again = await find_upload(ports, upload.upload_id, upload.kind, upload.key_id)
    if again is None:
        raise UploadGone(NO_LONGER_THERE)
    return again
