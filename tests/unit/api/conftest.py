"""A gateway on SQLite and a folder, without sockets: its ports open, three keys made, one project, one deployment."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import SQLModel

from varanger.api.application.keys import create_key
from varanger.api.application.record_facts import fact_recorder
from varanger.api.application.record_releases import register
from varanger.api.domain.access import Scope
from varanger.api.gateway.app import create_app
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Deployment, Project
from varanger.common.messages import (
    Envelope,
    MediaClassified,
    MediaMetadata,
    MediaStored,
    Message,
    ReleaseRegistered,
)
from varanger.common.ports.objects import ObjectStore
from varanger.common.releases import ReleaseManifest, StageModel
from varanger.common.settings import Settings
from varanger.common.words import Prediction, Purpose

Row = TypeVar("Row", bound=SQLModel)


@dataclass
class House:
    """Everything a test of the gateway may want to look into."""

    app: FastAPI
    client: httpx.AsyncClient
    catalog: Catalog
    objects: ObjectStore
    objects_folder: Path
    spool_folder: Path
    keys: dict[str, str]
    upload_url: str = "/v1/projects/tundra/deployments/north-1/media"

    def auth(self, scope: str = "admin") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[scope]}"}

    async def upload(self, *files: tuple[str, bytes], **query: str) -> httpx.Response:
        parts = [("files", (name, data, "image/jpeg")) for name, data in files]
        return await self.client.post(self.upload_url, files=parts, params=query, headers=self.auth("upload"))

    async def get(self, path: str, scope: str = "read", **query: Any) -> httpx.Response:
        return await self.client.get(path, params=query, headers=self.auth(scope))

    async def post(self, path: str, body: Any, scope: str = "admin") -> httpx.Response:
        return await self.client.post(path, json=body, headers=self.auth(scope))

    async def put_in_force(self, *classes: str) -> str:
        """Register a release that knows these classes, and promote it."""
        stage = StageModel(sha256="ab" * 32, bytes=1, classes=classes, input_size=320)
        manifest = ReleaseManifest(
            name="small", kind="classifier", description="a test's", licence="Apache-2.0", stages={"classifier": stage}
        )
        fact = ReleaseRegistered(
            release_id=manifest.release_id, manifest=manifest.model_dump(mode="json"), promote=True
        )
        async with self.catalog.writing() as session:
            await register(session, "tundra", fact)
        return manifest.release_id

    async def take_in(
        self,
        name: str,
        captured_at: datetime | None = None,
        prediction: Prediction | None = None,
        said: MediaMetadata | None = None,
        *,
        frame_numbers: tuple[int, ...] = (),
    ) -> UUID:
        """Upload a file and tell the recorder what ingest, and inference, would have found."""
        media_id = UUID((await self.upload((name, name.encode()))).json()["results"][0]["media_id"])
        stored = MediaStored(
            media_id=media_id,
            deployment_id="north-1",
            key=f"media/tundra/north-1/{name}",
            view_key=f"views/tundra/{media_id}.jpg",
            name=name,
            sha256=hashlib.sha256(name.encode()).hexdigest(),
            bytes=len(name),
            media_type="image/jpeg",
            width=2048,
            height=1536,
            metadata=said or MediaMetadata(captured_at=captured_at, make="RECONYX"),
            frame_numbers=frame_numbers,
        )
        await self.objects.put(stored.key, b"original of " + name.encode())
        await self.objects.put(stored.view_key, b"view of " + name.encode())
        await self.tell_recorder(stored)
        if prediction is not None:
            await self.classify(media_id, prediction)
        return media_id

    async def classify(self, media_id: UUID, prediction: Prediction, frame_number: int | None = None) -> None:
        [project] = [row for row in await self.rows(Project) if row.project_id == "tundra"]
        assert project.release_id is not None
        await self.tell_recorder(
            MediaClassified(
                media_id=media_id,
                release_id=project.release_id,
                purpose=Purpose.INTAKE,
                frame_number=frame_number,
                prediction=prediction,
            )
        )

    async def tell_recorder(self, fact: Message) -> None:
        await fact_recorder(self.catalog)([Envelope.wrap(fact, project_id="tundra", producer="test/1")])

    async def rows(self, table: type[Row]) -> list[Row]:
        async with self.catalog.reading() as session:
            return list((await session.execute(select(table))).scalars())

    def left_behind(self) -> list[Path]:
        return list(self.spool_folder.iterdir())

    def stored_keys(self) -> list[str]:
        folder = self.objects_folder
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@dataclass
class Template:
    """A catalog's bytes, made once, with what every test needs in it; its keys in plain text."""

    catalog: bytes
    keys: dict[str, str]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    path = tmp_path_factory.mktemp("catalog") / "catalog.sqlite"
    migrate(f"sqlite:///{path}")
    keys = asyncio.run(_fill(f"sqlite:///{path}"))
    return Template(path.read_bytes(), keys)


async def _fill(url: str) -> dict[str, str]:
    catalog = open_catalog(url)
    async with catalog.writing() as session:
        session.add(Project(project_id="tundra", title="Tundra"))
        session.add(Deployment(project_id="tundra", deployment_id="north-1", location_id="north"))
    keys = {scope.value: await create_key(catalog, scopes=[scope], label=scope.value) for scope in Scope}
    await catalog.close()
    return keys


@pytest.fixture
def settings() -> Settings:
    return Settings(max_file_bytes=4 << 20)


@pytest.fixture
async def house(tmp_path: Path, template: Template, settings: Settings) -> AsyncIterator[House]:
    await asyncio.to_thread((tmp_path / "catalog.sqlite").write_bytes, template.catalog)
    catalog = open_catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    objects = FileObjectStore(tmp_path / "objects")
    bus = MemoryBus(settings.retry_delays_s)
    await bus.start()
    spool = tmp_path / "spool"
    spool.mkdir()
    app = create_app(settings, catalog, objects, bus, spool_folder=spool)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield House(app, client, catalog, objects, tmp_path / "objects", spool, dict(template.keys))
    await bus.close()
    await objects.close()
    await catalog.close()
