"""A drawn field season sent into a running Varanger by its gateways, until the last answer is stored."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import func, select
from sqlmodel import col
from systems import System

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Scope
from varanger.app.release_source import publish_release
from varanger.client import VarangerClient
from varanger.common.adapters import open_object_store
from varanger.common.catalog import open_catalog
from varanger.common.catalog.tables import Upload
from varanger.common.ids import new_id
from varanger.common.words import MediaState
from varanger.fieldsim import Season, SimulatedDeployment

POLL_S = 0.1
GIVE_UP_AFTER_S = 600.0


class SeasonIntake:
    """Sends the same season as often as asked, each time into a new project, so that nothing is a duplicate.

    One sender per camera, all at once, over the REST API, as field gateways do.
    """

    def __init__(self, system: System, season: Season, bundle: Path) -> None:
        self._system = system
        self._season = season
        self._bundle = bundle
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._catalog = open_catalog(self._system.catalog_url)
        self._stack.push_async_callback(self._catalog.close)
        self._objects = open_object_store(self._system.objects_url)
        self._stack.push_async_callback(self._objects.close)
        key = await create_key(self._catalog, scopes=list(Scope), label="bench")
        self._client = self._stack.enter_context(VarangerClient(self._system.url, key))
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def send(self) -> float:
        """Images/s from the first byte sent to the last answer stored.

        Raises:
            RuntimeError: an image did not become a classified media.
        """
        project = await self._new_project()
        begin = time.perf_counter()
        await asyncio.gather(*(asyncio.to_thread(self._upload, project, one) for one in self._season.deployments))
        await self._until_answered(project)
        return len(self._season.media) / (time.perf_counter() - begin)

    async def _new_project(self) -> str:
        project = f"bench-{new_id().hex}"
        await asyncio.to_thread(self._client.create_project, project)
        await publish_release(self._catalog, self._objects, project, self._bundle, promote=True)
        for one in self._season.deployments:
            await asyncio.to_thread(
                self._client.put_deployment, project, one.deployment_id, location_id=one.location_id
            )
        return project

    def _upload(self, project: str, camera: SimulatedDeployment) -> None:
        self._client.upload_folder(project, camera.deployment_id, self._season.folder / camera.folder)

    async def _until_answered(self, project: str) -> None:
        """Looks into the catalog itself: asking the gateway would be counted as the gateway's work."""
        pending = (
            select(func.count())
            .select_from(Upload)
            .where(col(Upload.project_id) == project, col(Upload.state) == MediaState.PENDING)
        )
        async with asyncio.timeout(GIVE_UP_AFTER_S):
            while True:
                async with self._catalog.reading() as session:
                    if await session.scalar(pending) == 0:
                        break
                await asyncio.sleep(POLL_S)
        stats = await asyncio.to_thread(self._client.stats, project)
        if stats.media != len(self._season.media):
            raise RuntimeError(f"{len(self._season.media)} images were sent, but: {stats}")
