"""Content that is offered again by its digest: one row for each place it comes from, however many ask at once."""

import asyncio
import hashlib
from pathlib import Path

from sqlalchemy import select

from varanger.api.application.accept_upload import ReceivedFile, Sender, accept_upload, offer_again
from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import Deployment, Project, Upload
from varanger.common.words import Lane

SHA256 = hashlib.sha256(b"picture").hexdigest()


async def sender_to(catalog: Catalog) -> Sender:
    deployment = Deployment(project_id="tundra", deployment_id="north-1", location_id="north")
    async with catalog.writing() as session:
        session.add(Project(project_id="tundra"))
        session.add(Deployment(**deployment.model_dump()))
    return Sender(deployment, Lane.LIVE, "a test", "")


async def rows(catalog: Catalog) -> list[tuple[str | None, str]]:
    async with catalog.reading() as session:
        found = (await session.execute(select(Upload))).scalars()
        return sorted((row.original_path, row.state) for row in found)


async def test_of_many_retries_at_once_one_is_recorded(catalog: Catalog, tmp_path: Path) -> None:
    sender, file = await sender_to(catalog), tmp_path / "file"
    file.write_bytes(b"picture")
    objects = FileObjectStore(tmp_path / "objects")
    received = ReceivedFile("card/a.jpg", file, SHA256, 7)

    async def bring() -> None:
        await accept_upload(catalog, objects, sender, [received], new=True)

    await asyncio.gather(*(bring() for _ in range(6)))
    assert await rows(catalog) == [("card/a.jpg", "pending")]
    assert len([key async for key in objects.list("")]) == 1
    await asyncio.gather(*(offer_again(catalog, sender, "card/b.jpg", SHA256) for _ in range(6)))
    await offer_again(catalog, sender, "card/a.jpg", SHA256)
    assert await rows(catalog) == [("card/a.jpg", "pending"), ("card/b.jpg", "duplicate")]
    await objects.close()
