"""Two gateways on real sockets, on one PostgreSQL and one folder."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Scope
from varanger.api.gateway.app import create_app
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Deployment, Outbox, Project, Upload
from varanger.common.settings import Settings
from varanger.common.telemetry.health import QuietServer

LARGEST_BYTES = 32 << 20


@dataclass
class Gateways:
    urls: list[str]
    catalog: Catalog
    objects: FileObjectStore
    spool: Path
    headers: dict[str, str]
    largest_bytes: int = LARGEST_BYTES

    async def settled(self) -> tuple[Counter[str], int, list[str]]:
        """(uploads by state, messages owed, object keys)"""
        async with self.catalog.reading() as session:
            states = Counter((await session.execute(select(Upload.state))).scalars())
            owed = (await session.execute(select(func.count()).select_from(Outbox))).scalar_one()
        return states, owed, [stored.key async for stored in self.objects.list("incoming/")]


@pytest.fixture
async def gateways(postgres_url: str, tmp_path: Path) -> AsyncIterator[Gateways]:
    await asyncio.to_thread(migrate, postgres_url)
    catalog = open_catalog(postgres_url)
    objects = FileObjectStore(tmp_path / "objects")
    bus = MemoryBus(())
    await bus.start()
    async with catalog.writing() as session:
        session.add(Project(project_id="tundra"))
        session.add(Deployment(project_id="tundra", deployment_id="north-1", location_id="north"))
    key = await create_key(catalog, scopes=[Scope.UPLOAD, Scope.READ])
    spool = tmp_path / "spool"
    spool.mkdir()
    settings = Settings(max_file_bytes=LARGEST_BYTES)
    servers = [
        QuietServer(create_app(settings, catalog, objects, bus, spool_folder=spool), "127.0.0.1", 0) for _ in range(2)
    ]
    serving = [asyncio.create_task(server.serve()) for server in servers]
    while not all(server.started for server in servers):
        await asyncio.sleep(0.01)
    ports = [server.servers[0].sockets[0].getsockname()[1] for server in servers]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    yield Gateways(urls, catalog, objects, spool, {"Authorization": f"Bearer {key}"})
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*serving)
    await bus.close()
    await objects.close()
    await catalog.close()
