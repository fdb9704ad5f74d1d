import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel, col

from varanger.api.application.dead_letters import record_dead_letter
from varanger.api.application.media_queries import project_stats
from varanger.api.application.record_facts import fact_recorder
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.adapters.objects_memory import MemoryObjectStore
from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Deployment, MediaHistory, Outbox, Project, Upload
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaMetadata, MediaQuarantined, MediaStored, Message
from varanger.common.ports.bus import Delivery
from varanger.common.topology import DEAD_LETTERS

Row = TypeVar("Row", bound=SQLModel)


@pytest.fixture(params=["sqlite", "postgres"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def catalog(catalog_url: str) -> AsyncIterator[Catalog]:
    """A migrated catalog of either kind."""
    await asyncio.to_thread(migrate, catalog_url)
    catalog = open_catalog(catalog_url)
    yield catalog
    await catalog.close()


@dataclass
class FieldSite:
    """A project `p` with deployments `d` and `e`, and what its messages did to the catalog. As one fixture, since test
    files cannot import one another."""

    catalog: Catalog
    objects: MemoryObjectStore = field(default_factory=MemoryObjectStore)
    release: str = "a" * 64

    async def put_in_force(self, release_id: str) -> None:
        project = await self.row(Project, "p")
        async with self.catalog.writing() as session:
            project.release_id = release_id
            session.add(project)

    async def accept(self, name: str = "IMG.JPG", *, content: str | None = None, lane: str = "live") -> UUID:
        """A file as the gateway accepts it."""
        media_id = new_id()
        sha256 = hashlib.sha256((content or media_id.hex).encode()).hexdigest()
        upload = Upload(
            media_id=media_id,
            project_id="p",
            deployment_id="d",
            sha256=sha256,
            bytes=10,
            original_name=name,
            incoming_key=f"incoming/p/{media_id}",
            lane=lane,
            state="pending",
        )
        await self.objects.put(upload.incoming_key, b"bytes")
        async with self.catalog.writing() as session:
            session.add(upload)
        return media_id

    @staticmethod
    def stored(media_id: UUID, **fields: Any) -> MediaStored:
        """What ingest says of a good image, or of a video with `frame_numbers`."""
        told: dict[str, Any] = {
            "media_id": media_id,
            "deployment_id": "d",
            "key": f"media/p/d/{media_id}.jpg",
            "view_key": f"views/p/{media_id}.jpg",
            "name": f"{media_id}.jpg",
            "sha256": "0" * 64,
            "bytes": 10,
            "media_type": "video/mp4" if fields.get("frame_numbers") else "image/jpeg",
            "width": 4,
            "height": 3,
            "metadata": MediaMetadata(),
        }
        return MediaStored.model_validate(told | fields)

    @staticmethod
    def quarantined(media_id: UUID, *, reason: str = "corrupt_image", intake_number: int = 1) -> MediaQuarantined:
        return MediaQuarantined(
            media_id=media_id,
            deployment_id="d",
            key=f"quarantine/p/{media_id}",
            sha256="0" * 64,
            bytes=10,
            reason=reason,
            intake_number=intake_number,
        )

    @staticmethod
    def say(fact: Message, *, attempt: int = 1) -> Envelope:
        return Envelope.wrap(fact, project_id="p", producer="test/1").model_copy(update={"attempt": attempt})

    async def record(self, *facts: Message) -> None:
        await fact_recorder(self.catalog)([self.say(fact) for fact in facts])

    async def bury(self, message: Message, queue: str, reason: str = "gave up") -> None:
        """Let a message die on a bus of its own, and record it."""
        bus = MemoryBus((0.01,))
        await bus.start()
        dead: asyncio.Queue[Delivery] = asyncio.Queue()

        async def give_up(delivery: Delivery) -> None:
            await delivery.dead_letter(reason)

        await bus.consume(queue, give_up, prefetch=1)
        await bus.consume(DEAD_LETTERS, dead.put, prefetch=1)
        await bus.publish_raw(queue, self.say(message).to_body(), {})
        await record_dead_letter(self.catalog, await dead.get())
        await bus.close()

    async def row(self, table: type[Row], key: Any) -> Row:
        async with self.catalog.reading() as session:
            found = await session.get(table, key)
        assert found is not None
        return found

    async def rows(self, table: type[Row]) -> Sequence[Row]:
        async with self.catalog.reading() as session:
            return (await session.scalars(select(table))).all()

    async def sent(self, kind: type[Message]) -> list[Any]:
        """The payloads of this kind in the outbox, in order."""
        async with self.catalog.reading() as session:
            bodies = await session.scalars(
                select(col(Outbox.body)).where(col(Outbox.type) == kind.TYPE).order_by(col(Outbox.message_id))
            )
            return [Envelope.from_body(body).payload for body in bodies]

    async def history(self, media_id: UUID) -> list[str]:
        lines = [line for line in await self.rows(MediaHistory) if line.media_id == media_id]
        return [line.what for line in sorted(lines, key=lambda line: line.history_id)]

    async def states(self) -> Counter[str]:
        return Counter(upload.state for upload in await self.rows(Upload))

    async def counts(self) -> dict[str, int]:
        """What `stats` tells: `received`, and the states that are not empty."""
        stats = await project_stats(self.catalog, "p")
        return {"received": stats.received} | {state.value: n for state, n in stats.states.items() if n}

    async def keys(self) -> set[str]:
        return {item.key async for item in self.objects.list("")}


@pytest.fixture
async def site(catalog: Catalog) -> FieldSite:
    """A project with two deployments, and a release in force that nobody registered."""
    async with catalog.writing() as session:
        session.add(Project(project_id="p", release_id="a" * 64))
        session.add(Deployment(project_id="p", deployment_id="d", location_id="north"))
        session.add(Deployment(project_id="p", deployment_id="e", location_id="south"))
    return FieldSite(catalog)
