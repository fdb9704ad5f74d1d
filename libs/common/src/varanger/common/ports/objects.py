"""`ObjectStore`: bytes under keys, durable once acknowledged."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from varanger.common.ports.direct_uploads import DirectUploads


@dataclass(frozen=True)
class StoredObject:
    """What the store knows of one object."""

    key: str
    bytes: int
    modified_at: datetime
    """Aware UTC."""


@dataclass(frozen=True)
class Joined:
    """What `join` wrote."""

    bytes: int
    sha256: str
    """Of the very bytes that were written, in hex."""


class ObjectStore(Protocol):
    """Keys are `/`-separated, of `[A-Za-z0-9._=-]` and at most 512 characters. Opened by `open_object_store(url)`.

    No key is another key's folder (`a` and `a/b`): a file system cannot hold both.
    Every method raises DependencyDown where the store does not answer or refuses for reasons of its own
    (wrong credentials too: pausing beats losing), and ValueError for a malformed key.
    """

    @property
    def direct(self) -> DirectUploads | None:
        """Uploads that go past us, straight into the store; None where a store has no such thing (a folder)."""

    async def put(self, key: str, data: bytes | Path, *, content_type: str = "application/octet-stream") -> None:
        """Store the bytes, or a local file's bytes, replacing what was there. Durable on return, never half visible."""

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, sha256: str) -> int:
        """Store what comes if it has this sha256 (in hex); how many bytes. Memory independent of its size.

        What was under the key is replaced, durable on return, never half visible. Where the stream raises, or has
        another sha256, nothing is stored and nothing temporary stays. A stream comes once: it cannot be tried again.

        Raises:
            ContentDiffers: all of it came, with another sha256.
            DependencyDown: as always; the object may be there for all that.
            Exception: whatever the stream raised.
        """

    async def get(self, key: str) -> bytes:
        """The whole object. Raises ObjectMissing."""

    async def fetch(self, key: str, path: Path) -> None:
        """Write the object to a local file with memory independent of its size. Raises ObjectMissing."""

    def stream(self, key: str, *, chunk_bytes: int = 1 << 18) -> AsyncIterator[bytes]:
        """The object in chunks. Raises ObjectMissing, before the first chunk."""

    async def copy(self, source: str, target: str) -> None:
        """Server-side copy, replacing the target; the same bytes twice is the same as once. Raises ObjectMissing."""

    async def join(self, sources: Sequence[str], target: str) -> Joined:
        """Store the objects' bytes, one after another, as one object; memory independent of their size.

        The target is replaced, durable on return, never half visible; the sources stay. Raises ObjectMissing.
        """

    async def head(self, key: str) -> StoredObject | None:
        """What is there, or None."""

    async def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""

    def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Every object whose key starts with `prefix`, in key order."""

    async def ping(self) -> None:
        """Raises DependencyDown where the store or its bucket does not answer."""

    async def close(self) -> None:
        """Let threads and connections go."""
