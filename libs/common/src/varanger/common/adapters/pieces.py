"""A body that comes in small chunks, taken in pieces that are worth a thread."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TypeVar

from varanger.common.errors import ContentDiffers

_Answer = TypeVar("_Answer")

Piece = list[bytes]
"""Chunks as they came: nothing is copied to make them one."""


async def in_pieces(chunks: AsyncIterator[bytes], piece_bytes: int) -> AsyncGenerator[Piece, None]:
    """Pieces of `piece_bytes`, the last one shorter; one empty piece where nothing came."""
    piece: list[bytes] = []
    room = piece_bytes
    given = False
    async for chunk in chunks:
        at = 0
        while len(chunk) - at >= room:
            piece.append(chunk[at : at + room])
            at += room
            yield piece
            piece, room, given = [], piece_bytes, True
        if at < len(chunk):
            piece.append(chunk[at:])
            room -= len(chunk) - at
    if piece or not given:
        yield piece


class Sha256Of:
    """Counts and hashes pieces, which come one after another; on a thread, where hashing lets others run."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    def add(self, piece: Piece) -> None:
        """The next piece."""
        for chunk in piece:
            self._sha256.update(chunk)
            self.bytes += len(chunk)

    def check(self, sha256: str) -> None:
        """Raises ContentDiffers where all of it has another sha256."""
        if (came := self._sha256.hexdigest()) != sha256:
            raise ContentDiffers(self.bytes, came, sha256)


async def to_its_end(work: Awaitable[_Answer]) -> _Answer:
    """Await what runs on a thread; whoever is cancelled meanwhile waits for its end, so that what follows is alone."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
