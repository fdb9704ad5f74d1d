"""A requested run is followed once, under a lease; a lost lease changes nothing; releases are told of when whole."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlmodel import select

from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Job, Outbox
from varanger.common.clock import now
from varanger.common.errors import BadMessage
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, ReleaseRegistered, TrainingRequested
from varanger.common.releases import ReleaseManifest, StageModel, object_prefix, parse_manifest, write_manifest
from varanger.trainer.adapters.prepared_training import PreparedTraining
from varanger.trainer.application.job_lease import JobLease, LeaseLost
from varanger.trainer.application.run_training import TrainingWorker

SPEC = {
    "name": "n",
    "description": "d",
    "dataset": {"format": "yolo", "url": "objects://datasets/one"},
    "groups": {"g": ["fox"]},
}
MODEL = b"a model"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    await asyncio.to_thread(migrate, url)
    opened = open_catalog(url)
    yield opened
    await opened.close()


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[FileObjectStore]:
    store = FileObjectStore(tmp_path / "objects")
    await store.put("datasets/one/classes.txt", b"fox\n")
    await store.put("datasets/one/images/a.jpg", b"pixels")
    yield store
    await store.close()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    import hashlib

    folder = tmp_path / "prepared"
    (folder / "models").mkdir(parents=True)
    sha256 = hashlib.sha256(MODEL).hexdigest()
    (folder / f"models/{sha256}.onnx").write_bytes(MODEL)
    stage = StageModel(sha256=sha256, bytes=len(MODEL), classes=("fox",), input_size=64)
    manifest = ReleaseManifest(name="n", kind="two_stage", description="d", licence="MIT", stages={"global": stage})
    write_manifest(manifest, folder)
    return folder


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class Workplace:
    """One worker and what it holds."""

    def __init__(self, catalog: Catalog, objects: FileObjectStore, folder: Path, backend: PreparedTraining) -> None:
        self.catalog, self.objects, self.backend = catalog, objects, backend
        self.stop = asyncio.Event()
        self.jobs = JobLease(catalog, "worker-1", lease_s=0.3)
        self.worker = TrainingWorker(
            self.jobs, backend, objects, folder=folder / "runs", producer="trainer/test", stop=self.stop
        )
        self.folder = folder / "runs"

    async def request(self, spec: dict[str, object] | None = None) -> UUID:
        job = Job(project_id="p", kind="training_run", owner="trainer", spec=spec or SPEC)
        async with self.catalog.writing() as session:
            session.add(job)
        return job.job_id

    async def job(self, job_id: UUID) -> Job:
        async with self.catalog.reading() as session:
            found = await session.get(Job, job_id)
        assert found is not None
        return found

    async def said(self) -> list[Envelope]:
        async with self.catalog.reading() as session:
            rows = (await session.execute(select(Outbox))).scalars().all()
        return [Envelope.from_body(row.body) for row in rows]


@pytest.fixture
def place(catalog: Catalog, objects: FileObjectStore, tmp_path: Path, bundle: Path) -> Workplace:
    return Workplace(catalog, objects, tmp_path, PreparedTraining(bundle))


async def test_a_run_ends_with_a_release_that_is_whole_in_the_store(place: Workplace, bundle: Path) -> None:
    run = await place.request()
    assert await place.worker.step() is True
    assert await place.worker.step() is False

    job = await place.job(run)
    assert (job.state, job.progress, job.leased_until) == ("done", 1.0, None)
    (envelope,) = await place.said()
    assert isinstance(envelope.payload, ReleaseRegistered)
    assert (envelope.project_id, envelope.job_id, envelope.payload.run_id) == ("p", run, run)
    prefix = object_prefix(envelope.payload.release_id)
    stored = {item.key.removeprefix(prefix) async for item in place.objects.list(prefix)}
    assert stored == files_of(bundle)
    assert parse_manifest(await place.objects.get(prefix + "manifest.json")).release_id == envelope.payload.release_id
    assert job.result is not None
    assert job.result["release_id"] == envelope.payload.release_id
    assert not list(place.folder.iterdir())


async def test_a_dataset_in_the_object_store_is_fetched_first(place: Workplace) -> None:
    place.backend._bundle = None  # the run's folder is gone once it ends; the specification is what is looked at
    await place.request()
    await place.worker.step()
    (spec,) = place.backend.specs
    assert spec["dataset"]["url"].startswith(str(place.folder))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({**SPEC, "preset": "resnet"}, "preset"),
        ({**SPEC, "dataset": {"format": "yolo", "url": "objects://datasets/none"}}, "datasets/none/"),
    ],
)
async def test_a_run_that_cannot_be_followed_fails_with_its_reason(
    place: Workplace, spec: dict[str, object], said: str
) -> None:
    run = await place.request(spec)
    assert await place.worker.step() is True
    job = await place.job(run)
    assert job.state == "failed"
    assert said in job.message
    assert job.ended_at is not None
    assert await place.said() == []
    assert await place.worker.step() is False


async def test_a_fault_nobody_thought_of_ends_the_run(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place.backend, "run", disk_full)
    run = await place.request()
    assert await place.worker.step() is True
    job = await place.job(run)
    assert (job.state, "No space left" in job.message) == ("failed", True)


async def test_a_cancelled_run_ends_its_work_and_says_nothing(
    catalog: Catalog, objects: FileObjectStore, tmp_path: Path, bundle: Path
) -> None:
    place = Workplace(catalog, objects, tmp_path, PreparedTraining(bundle, until=asyncio.Event()))
    run = await place.request()
    step = asyncio.create_task(place.worker.step())
    await _until(lambda: bool(place.backend.specs))
    async with catalog.writing() as session:
        job = await session.get(Job, run)
        assert job is not None
        job.state = "cancelled"
        session.add(job)
    assert await step is True
    assert place.backend.cancelled == 1
    assert (await place.job(run)).state == "cancelled"
    assert await place.said() == []


async def test_a_stopping_process_gives_its_run_back(
    catalog: Catalog, objects: FileObjectStore, tmp_path: Path, bundle: Path
) -> None:
    hold = asyncio.Event()
    place = Workplace(catalog, objects, tmp_path, PreparedTraining(bundle, until=hold))
    run = await place.request()
    step = asyncio.create_task(place.worker.step())
    await _until(lambda: bool(place.backend.specs))
    place.stop.set()
    assert await step is False
    job = await place.job(run)
    assert (job.state, job.leased_until) == ("requested", None)

    place.stop.clear()
    hold.set()
    assert await place.worker.step() is True
    job = await place.job(run)
    assert (job.state, job.fencing_token) == ("done", 2)


async def test_an_older_token_changes_nothing(place: Workplace) -> None:
    run = await place.request()
    stale = await place.jobs.claim()
    assert stale is not None
    assert await JobLease(place.catalog, "worker-2", 60).claim() is None
    async with place.catalog.writing() as session:
        job = await session.get(Job, run)
        assert job is not None
        job.leased_until = now() - timedelta(seconds=1)
        session.add(job)
    fresh = await JobLease(place.catalog, "worker-2", 60).claim()
    assert fresh is not None
    assert fresh.token == stale.token + 1
    with pytest.raises(LeaseLost):
        await place.jobs.finish(stale, {"release_id": "x"}, [])
    with pytest.raises(LeaseLost):
        await place.jobs.renew(stale, 0.9, "late")
    assert (await place.job(run)).leased_by == "worker-2"


async def test_a_request_without_a_row_is_a_bad_message(place: Workplace) -> None:
    run = await place.request()
    known = Envelope.wrap(TrainingRequested(run_id=run), project_id="p", producer="api/test")
    assert await place.worker.on_requested([known]) == []
    unknown = Envelope.wrap(TrainingRequested(run_id=new_id()), project_id="p", producer="api/test")
    with pytest.raises(BadMessage, match="no training run"):
        await place.worker.on_requested([unknown])


async def _until(true: object) -> None:
    assert callable(true)
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")
