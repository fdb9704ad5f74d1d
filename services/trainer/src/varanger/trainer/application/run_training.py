"""Follow requested training runs: claim, train under the lease, upload the bundle, say that the release is there."""

from __future__ import annotations

import asyncio
import functools
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from varanger.common.errors import BadMessage, DependencyDown, ObjectMissing, ReleaseInvalid
from varanger.common.messages import Envelope, ReleaseRegistered, TrainingRequested
from varanger.common.ports.objects import ObjectStore
from varanger.common.ports.training import TrainingBackend, TrainingFailed
from varanger.common.releases import MANIFEST, ReleaseManifest, object_prefix, read_bundle
from varanger.common.retry import PAUSE_FIRST_S, PAUSE_LONGEST_S, describe
from varanger.trainer.application.job_lease import ClaimedJob, JobLease, LeaseLost
from varanger.trainer.domain.spec import SpecInvalid, parse_spec

#: A dataset in the object store is named by this and its prefix; a worker fetches it first.
OBJECTS_SCHEME = "objects://"

_log = structlog.get_logger()


class TrainingWorker:
    """Works on one run at a time.

    Args:
        jobs: claims and fences.
        backend: where the work happens.
        objects: where datasets come from and bundles go.
        folder: for runs' working files; each run's is removed when it ends.
        stop: set when the process is to end; a run in hand is given back then.
        producer: ``<service>/<version>``, for the messages it sends.
    """

    def __init__(
        self,
        jobs: JobLease,
        backend: TrainingBackend,
        objects: ObjectStore,
        *,
        folder: Path,
        producer: str,
        stop: asyncio.Event,
    ) -> None:
        self._jobs, self._backend, self._objects = jobs, backend, objects
        self._folder, self._producer, self._stop = folder, producer, stop

    async def on_requested(self, envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
        """Acknowledge a request whose row is durable: the row is the record of work, never the delivery.

        Raises:
            BadMessage: no such run; the gateway writes the row in the transaction that sends the message.
        """
        for envelope in envelopes:
            if not isinstance(envelope.payload, TrainingRequested):
                raise BadMessage(f"{envelope.type} is no message for the trainer")
            if not await self._jobs.is_known(envelope.payload.run_id):
                raise BadMessage(f"run_id: the catalog has no training run {envelope.payload.run_id}")
        return []

    async def step(self) -> bool:
        """Claim and follow one run; False where none waits, or the process is to end.

        Raises:
            DependencyDown: catalog or object store is away; the run's lease ends and it is begun again.
        """
        job = await self._jobs.claim()
        if job is None:
            return False
        folder = self._folder / f"{job.job_id}-{job.token}"
        try:
            await self._follow(job, folder)
        except LeaseLost as error:
            _log.warning("training.lease_lost", run=str(job.job_id), error=str(error))
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return not self._stop.is_set()

    async def _follow(self, job: ClaimedJob, folder: Path) -> None:
        _log.info("training.started", run=str(job.job_id), token=job.token)
        try:
            manifest = await self._train(job, folder)
        except (TrainingFailed, SpecInvalid, ReleaseInvalid, ObjectMissing) as error:
            _log.warning("training.failed", run=str(job.job_id), error=str(error))
            await _insist(functools.partial(self._jobs.fail, job, str(error)))
            return
        except (LeaseLost, DependencyDown):
            raise
        except Exception as error:
            # Claimed again it would train for hours to the same fault, and again: a job always ends.
            _log.exception("training.fault", run=str(job.job_id))
            await _insist(functools.partial(self._jobs.fail, job, describe(error)))
            return
        if manifest is None:
            await self._jobs.give_back(job)
            _log.info("training.given_back", run=str(job.job_id))
            return
        fact = ReleaseRegistered(release_id=manifest.release_id, manifest=manifest.document, run_id=job.job_id)
        envelope = Envelope.wrap(fact, project_id=job.project_id, producer=self._producer, job_id=job.job_id)
        result = {"release_id": manifest.release_id, "metrics": manifest.metrics}
        await _insist(lambda: self._jobs.finish(job, result, [envelope]))
        _log.info("training.done", run=str(job.job_id), release=manifest.release_id)

    async def _train(self, job: ClaimedJob, folder: Path) -> ReleaseManifest | None:
        """Train while the lease is kept; a lost lease ends the work itself. None where the process is to end."""
        heard = _Heard()
        work = asyncio.create_task(self._produce(job, folder, heard))
        keeper = asyncio.create_task(self._keep_lease(job, heard))
        stopping = asyncio.create_task(self._stop.wait())
        tasks = (work, keeper, stopping)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return await work
            if keeper.done():
                await keeper  # it ends only by raising
            return None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _produce(self, job: ClaimedJob, folder: Path, heard: _Heard) -> ReleaseManifest:
        spec = parse_spec(job.spec).model_dump(mode="json")
        await self._fetch_dataset(spec["dataset"], folder / "dataset")
        result = await self._backend.run(job.job_id, spec, folder, heard.hear)
        manifest = await asyncio.to_thread(read_bundle, result.bundle)
        await self._upload(result.bundle, manifest)
        return manifest

    async def _keep_lease(self, job: ClaimedJob, heard: _Heard) -> None:
        """Renew three times per lease; an away catalog is borne until the lease would have ended."""
        missed = 0
        while True:
            try:
                await self._jobs.renew(job, heard.share, heard.text)
                missed = 0
            except DependencyDown:
                missed += 1
                if missed >= 3:
                    raise
            await asyncio.sleep(self._jobs.lease_s / 3)

    async def _fetch_dataset(self, dataset: dict[str, Any], folder: Path) -> None:
        """Bring a dataset from the object store here and point the specification at it."""
        url = str(dataset["url"])
        if not url.startswith(OBJECTS_SCHEME):
            return
        prefix = url.removeprefix(OBJECTS_SCHEME).rstrip("/") + "/"
        found = 0
        async for stored in self._objects.list(prefix):
            target = folder / stored.key.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            await self._objects.fetch(stored.key, target)
            found += 1
        if not found:
            raise TrainingFailed(f"dataset.url: the object store has nothing under {prefix}")
        dataset["url"] = str(folder)

    async def _upload(self, bundle: Path, manifest: ReleaseManifest) -> None:
        """Put every file, the manifest last: a prefix with one is complete. Doing it twice changes nothing."""
        prefix = object_prefix(manifest.release_id)
        files = await asyncio.to_thread(lambda: sorted(path for path in bundle.rglob("*") if path.is_file()))
        for path in sorted(files, key=lambda path: path.name == MANIFEST):
            key = prefix + path.relative_to(bundle).as_posix()
            await _insist(functools.partial(self._objects.put, key, path))


async def _insist(action: Callable[[], Awaitable[None]]) -> None:
    """Try until the dependency is back: hours of training are not thrown away for a database's restart."""
    pause = PAUSE_FIRST_S
    while True:
        try:
            await action()
            return
        except DependencyDown as error:
            _log.warning("training.waiting", error=str(error), seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_LONGEST_S)


class _Heard:
    """The last thing a run said."""

    def __init__(self) -> None:
        self.share, self.text = 0.0, "started"

    def hear(self, share: float, text: str) -> None:
        """Keep it until the lease is renewed next."""
        self.share, self.text = share, text
