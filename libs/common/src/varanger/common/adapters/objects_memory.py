"""An `ObjectStore` in memory: the fake that tests of the services use. Nothing is durable."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from varanger.common.adapters.object_keys import check_key
from varanger.common.adapters.pieces import Sha256Of
from varanger.common.clock import now
from varanger.common.errors import ObjectMissing
from varanger.common.ports.objects import Joined, StoredObject


class MemoryObjectStore:
    """Keeps every object in a dictionary; as the port says otherwise."""

    direct = None

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, StoredObject]] = {}

    async def put(self, key: str, data: bytes | Path, *, content_type: str = "application/octet-stream") -> None:
        """As the port says."""
        content = await asyncio.to_thread(data.read_bytes) if isinstance(data, Path) else bytes(data)
        self._objects[check_key(key)] = (content, StoredObject(key, len(content), now()))

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, sha256: str) -> int:
        """As the port says, but for the memory."""
        check_key(key)
        come, whole = Sha256Of(), []
        async for chunk in chunks:
            come.add([chunk])
            whole.append(chunk)
        come.check(sha256)
        await self.put(key, b"".join(whole))
        return come.bytes

    async def get(self, key: str) -> bytes:
        """As the port says."""
        try:
            return self._objects[check_key(key)][0]
        except KeyError:
            raise ObjectMissing(key) from None

    async def fetch(self, key: str, path: Path) -> None:
        """As the port says, but for the memory."""
        await asyncio.to_thread(path.write_bytes, await self.get(key))

    async def stream(self, key: str, *, chunk_bytes: int = 1 << 18) -> AsyncIterator[bytes]:
        """As the port says."""
        content = await self.get(key)
        for start in range(0, len(content), chunk_bytes):
            yield content[start : start + chunk_bytes]

    async def copy(self, source: str, target: str) -> None:
        """As the port says."""
        await self.put(target, await self.get(source))

    async def join(self, sources: Sequence[str], target: str) -> Joined:
        """As the port says, but for the memory."""
        whole = b"".join([await self.get(key) for key in sources])
        await self.put(target, whole)
        return Joined(len(whole), hashlib.sha256(whole).hexdigest())

    async def head(self, key: str) -> StoredObject | None:
        """As the port says."""
        found = self._objects.get(check_key(key))
        return found and found[1]

    async def delete(self, key: str) -> None:
        """As the port says."""
        self._objects.pop(check_key(key), None)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """As the port says."""
        for key in sorted(self._objects):
            if key.startswith(prefix) and key in self._objects:
                yield self._objects[key][1]

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing to let go."""
