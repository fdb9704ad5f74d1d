"""The adapters under the object store contract, each with a way to be taken away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.adapters.objects_s3 import S3ObjectStore
from varanger.common.ports.objects import ObjectStore


class FileRig:
    """A folder that can be moved away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "objects"
        self.store: ObjectStore = FileObjectStore(self._folder)

    async def take_away(self) -> None:
        """As when a drive is pulled out."""
        await asyncio.to_thread(self._folder.rename, self._folder.with_name("elsewhere"))

    async def bring_back(self) -> None:
        """Put it back."""
        await asyncio.to_thread(self._folder.with_name("elsewhere").rename, self._folder)


class S3Rig:
    """A bucket behind a relay that can be cut."""

    def __init__(self, url: str, relay) -> None:  # the relay of tests/contract/conftest.py
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        self._relay = relay
        self.store: ObjectStore = S3ObjectStore(
            f"s3://{user}@127.0.0.1:{relay.port}{parts.path}?{parts.query}&timeout=5"
        )

    async def take_away(self) -> None:
        """As when the store's host is gone."""
        await self._relay.cut()

    async def bring_back(self) -> None:
        """And is back."""
        await self._relay.open()


Rig = FileRig | S3Rig


@pytest.fixture(params=["file", "s3"])
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, relay_to: Callable[[str, int], Awaitable[object]]
) -> AsyncIterator[Rig]:
    """Each adapter in turn."""
    rig: Rig
    if request.param == "file":
        rig = FileRig(tmp_path)
    else:
        url = request.getfixturevalue("s3_url")
        parts = urlsplit(url)
        rig = S3Rig(url, await relay_to(parts.hostname or "", parts.port or 443))
    yield rig
    await rig.store.close()


@pytest.fixture
def store(rig: Rig) -> ObjectStore:
    """An open store."""
    return rig.store


@pytest.fixture
def base() -> str:
    """A prefix that no other test has."""
    return f"test/{uuid4().hex[:12]}"
