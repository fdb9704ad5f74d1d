"""The trainer as its own process on real RabbitMQ, PostgreSQL and S3: from a request to a registered release."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from varanger.common.adapters import open_bus, open_object_store
from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Job, Outbox
from varanger.common.messages import Envelope, ReleaseRegistered, TrainingRequested
from varanger.common.ports.bus import Bus
from varanger.common.ports.objects import ObjectStore
from varanger.common.releases import MANIFEST, object_prefix, read_bundle
from varanger.fieldsim import EXPERT_GROUPS, SPECIES, SeasonPlan, draw_season

PATIENCE_S = 240


@pytest.fixture
async def catalog(postgres_url: str) -> AsyncIterator[Catalog]:
    await asyncio.to_thread(migrate, postgres_url)
    opened = open_catalog(postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
async def bus(amqp_url: str) -> AsyncIterator[Bus]:
    opened = open_bus(amqp_url)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def objects(s3_url: str) -> AsyncIterator[ObjectStore]:
    opened = open_object_store(s3_url)
    yield opened
    await opened.close()


@pytest.fixture
def trainer(catalog: Catalog, amqp_url: str, s3_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "VARANGER_BUS_URL": amqp_url,
        "VARANGER_CATALOG_URL": catalog.url,
        "VARANGER_OBJECTS_URL": s3_url,
        "VARANGER_TRAINING_FOLDER": str(tmp_path / "training"),
        "VARANGER_HEALTH_PORT": "0",
    }
    with (tmp_path / "trainer.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "varanger.trainer.main"], env=environment, stderr=log)
        yield process
        process.terminate()
        assert process.wait(timeout=60) == 0


def season_and_spec(folder: Path) -> dict[str, object]:
    """A season small enough to be trained on in seconds, and how: the path is tested here, not the skill."""
    plan = SeasonPlan(
        seed=8, sites=6, images=48, blank_share=0.1, species_weights=dict.fromkeys([one.name for one in SPECIES], 1.0)
    )
    season = draw_season(plan, folder)
    seen = {box.taxon for media in season.media for box in media.boxes}
    cut = folder / season.media[0].path
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    return {
        "name": "tiny",
        "description": "made by a test",
        "dataset": {"format": "fieldsim", "url": "objects://datasets/tiny"},
        "groups": {
            group: [name for name in members if name in seen]
            for group, members in EXPERT_GROUPS.items()
            if seen & set(members)
        },
        "preset": "demo",
        "input_size": 64,
        "split": {"by": "site", "validation": 0.2, "test": 0.2},
        "effort": {"global_epochs": 1, "expert_epochs": 1, "batch": 8},
    }


@pytest.mark.timeout(PATIENCE_S + 60)
async def test_from_request_to_registered_release(
    trainer: subprocess.Popen[bytes], catalog: Catalog, bus: Bus, objects: ObjectStore, tmp_path: Path
) -> None:
    spec = await asyncio.to_thread(season_and_spec, tmp_path / "season")
    for path in await asyncio.to_thread(files_of, tmp_path / "season"):
        await objects.put(f"datasets/tiny/{path.relative_to(tmp_path / 'season').as_posix()}", path)
    job = Job(project_id="p", kind="training_run", owner="trainer", spec=spec)
    run = job.job_id
    async with catalog.writing() as session:
        session.add(job)
    await bus.publish([Envelope.wrap(TrainingRequested(run_id=run), project_id="p", producer="test/0")])

    ended = await ended_job(catalog, job, trainer)
    log = await asyncio.to_thread((tmp_path / "trainer.log").read_text)
    assert (ended.state, ended.progress) == ("done", 1.0), f"{ended.message}\n{log}"
    async with catalog.reading() as session:
        (row,) = (await session.execute(select(Outbox))).scalars().all()
    fact = Envelope.from_body(row.body).payload
    assert isinstance(fact, ReleaseRegistered)
    assert fact.run_id == run

    prefix = object_prefix(fact.release_id)
    async for stored in objects.list(prefix):
        target = tmp_path / "fetched" / stored.key.removeprefix(prefix)
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        await objects.fetch(stored.key, target)
    manifest = await asyncio.to_thread(read_bundle, tmp_path / "fetched")
    assert manifest.release_id == fact.release_id
    assert json.loads(await objects.get(prefix + MANIFEST)) == fact.manifest
    assert set(manifest.stages) == {"global", *(f"expert:{group}" for group in manifest.groups)}
    assert manifest.lineage["epochs"]["global"] == 1
    assert manifest.lineage["dataset"]["left_out"] == {"damaged": 1}
    assert sum(manifest.lineage["dataset"]["images"].values()) == 47
    assert manifest.metrics["test"]["images"] > 0
    assert await bus.depth("trainer") == 0


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def ended_job(catalog: Catalog, job: Job, trainer: subprocess.Popen[bytes]) -> Job:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with catalog.reading() as session:
                found = await session.get(Job, job.job_id)
            if found is not None and found.ended_at is not None:
                return found
            assert trainer.poll() is None, "the trainer ended"
            await asyncio.sleep(0.5)
