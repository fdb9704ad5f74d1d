"""Two gateways on real sockets over one catalog and one object store: nothing of an upload may live in one of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Scope
from varanger.api.gateway.app import create_app
from varanger.common.adapters import open_object_store
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Deployment, Outbox, Project, Upload
from varanger.common.ports.objects import ObjectStore
from varanger.common.settings import Settings
from varanger.common.telemetry.health import QuietServer

LARGEST_BYTES = 32 << 20


@dataclass
class Pair:
    """Two gateways and what is behind them."""

    urls: list[str]
    ports: list[int]
    catalog: Catalog
    objects: ObjectStore
    headers: dict[str, str]
    spool: Path
    largest_bytes: int = LARGEST_BYTES
    query: dict[str, str] = field(default_factory=lambda: {"project": "tundra", "deployment": "north-1"})

    async def rows(self, table: type[SQLModel]) -> list:
        async with self.catalog.reading() as session:
            return list((await session.execute(select(table))).scalars())

    async def settled(self) -> tuple[Counter[str], int, list[str]]:
        """(uploads by state, messages owed, object keys)"""
        states = Counter(upload.state for upload in await self.rows(Upload))
        return states, len(await self.rows(Outbox)), await self.keys("incoming/")

    async def keys(self, prefix: str) -> list[str]:
        return [stored.key async for stored in self.objects.list(prefix)]


OpenPair = Callable[..., Awaitable[Pair]]


@pytest.fixture
async def open_pair(tmp_path: Path) -> AsyncIterator[OpenPair]:
    """Opens pairs of gateways: `open_pair(catalog_url, objects_url, **settings)`."""
    async with AsyncExitStack() as stack:

        async def opened(catalog_url: str, objects_url: str, **settings: Any) -> Pair:
            await asyncio.to_thread(migrate, catalog_url)
            catalog = open_catalog(catalog_url)
            stack.push_async_callback(catalog.close)
            objects = open_object_store(objects_url)
            stack.push_async_callback(objects.close)
            bus = MemoryBus(())
            await bus.start()
            stack.push_async_callback(bus.close)
            async with catalog.writing() as session:
                session.add(Project(project_id="tundra"))
                session.add(Deployment(project_id="tundra", deployment_id="north-1", location_id="north"))
            key = await create_key(catalog, scopes=[Scope.UPLOAD, Scope.READ], label="gateway-north")
            spool = tmp_path / "spool"
            spool.mkdir()
            servers = [
                QuietServer(create_app(Settings(**settings), catalog, objects, bus, spool_folder=spool), "127.0.0.1", 0)
                for _ in range(2)
            ]
            serving = [asyncio.create_task(server.serve()) for server in servers]

            async def stop() -> None:
                for server in servers:
                    server.should_exit = True
                await asyncio.gather(*serving)

            stack.push_async_callback(stop)
            while not all(server.started for server in servers):
                await asyncio.sleep(0.01)
            ports = [server.servers[0].sockets[0].getsockname()[1] for server in servers]
            urls = [f"http://127.0.0.1:{port}" for port in ports]
            return Pair(urls, ports, catalog, objects, {"Authorization": f"Bearer {key}"}, spool)

        yield opened


@pytest.fixture(params=["file-sqlite", "s3-postgresql"])
async def pair(request: pytest.FixtureRequest, open_pair: OpenPair, tmp_path: Path) -> Pair:
    """On a folder and SQLite, and on S3 and PostgreSQL."""
    if request.param == "file-sqlite":
        return await open_pair(f"sqlite:///{tmp_path / 'catalog.sqlite'}", f"file://{tmp_path / 'objects'}")
    return await open_pair(request.getfixturevalue("postgres_url"), own_store(request))


@pytest.fixture
async def gateways(postgres_url: str, open_pair: OpenPair, tmp_path: Path) -> Pair:
    """On a folder and PostgreSQL; no file of more than 32 MiB."""
    return await open_pair(postgres_url, f"file://{tmp_path / 'objects'}", max_file_bytes=LARGEST_BYTES)


@pytest.fixture
async def s3_pair(request: pytest.FixtureRequest, open_pair: OpenPair) -> Pair:
    """On S3 and PostgreSQL."""
    return await open_pair(request.getfixturevalue("postgres_url"), own_store(request))


def own_store(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("fresh_s3_url"))


@pytest.fixture
def fresh_s3_url(s3_url: str) -> str:
    """The run's bucket, emptied of what an earlier test left: these tests look at all of it."""
    from urllib.parse import urlsplit

    from minio import Minio

    parts = urlsplit(s3_url)
    client = Minio(
        parts.netloc.rpartition("@")[2],
        access_key=parts.username,
        secret_key=parts.password,
        secure="secure=true" in parts.query,
        region="us-east-1",
    )
    bucket = parts.path.strip("/")
    for found in list(client.list_objects(bucket, recursive=True)):
        client.remove_object(bucket, str(found.object_name))
    for begun in client._list_multipart_uploads(bucket).uploads:
        client._abort_multipart_upload(bucket, begun.object_name, begun.upload_id)
    client._http.clear()
    return s3_url
