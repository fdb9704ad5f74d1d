"""An uploaded file becomes media, is unpacked or kept in quarantine: takes `media.uploaded.v1`, answers with a fact.

Everything here may happen twice: keys follow from the file and the media's id, and every write replaces itself.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from uuid import uuid4

import structlog

from varanger.common.errors import BadMessage, DependencyDown, ObjectMissing, StoreFault
from varanger.common.messages import Envelope, MediaQuarantined, MediaStored, MediaUploaded, Message
from varanger.common.ports.objects import ObjectStore
from varanger.common.telemetry import metrics
from varanger.common.telemetry.health import Progress
from varanger.common.view_keys import frame_view_key
from varanger.ingest import PRODUCER
from varanger.ingest.application.examine import NOTHING_SAID, Examined, Examiner
from varanger.ingest.application.unpack_archive import UnpackArchive
from varanger.ingest.domain.archive import Archive
from varanger.ingest.domain.names import default_name, media_key, quarantine_key, unpacked_key, view_key
from varanger.ingest.domain.verdict import Quarantine
from varanger.ingest.domain.video import Video
from varanger.ingest.domain.view import View

_log = structlog.get_logger()


class IngestMedia:
    """The handler of the `ingest` queues.

    Args:
        objects: where `incoming/` is and everything goes.
        examiner: decides what a file is.
        pool: threads for everything that blocks; its size bounds the images decoded at a time.
        workbench: an existing local folder for the files in hand.
        progress: told of each file of an archive; see `UnpackArchive`.
    """

    def __init__(
        self, objects: ObjectStore, examiner: Examiner, *, pool: Executor, workbench: Path, progress: Progress
    ) -> None:
        self._objects = objects
        self._examiner = examiner
        self._pool = pool
        self._workbench = workbench
        self._unpack = UnpackArchive(
            objects, examiner.archive_limits, pool=pool, workbench=workbench, progress=progress
        )

    async def __call__(self, envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
        """The facts to publish for a batch; when one message raises, the others are still brought to their end.

        Raises:
            BadMessage: not an upload, or one that cannot be true.
            DependencyDown: the object store does not answer. Goes before any other fault of the batch.
            StoreFault: the bytes read are not those that were accepted.
            ObjectMissing: the upload's bytes are gone and nothing says that it was ever recorded.
        """
        outcomes = await asyncio.gather(*(self._ingest(envelope) for envelope in envelopes), return_exceptions=True)
        faults = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if faults:
            raise next((fault for fault in faults if isinstance(fault, DependencyDown)), faults[0])
        return [outcome for outcome in outcomes if isinstance(outcome, Envelope)]

    async def _ingest(self, envelope: Envelope) -> Envelope | None:
        """The fact for one upload; None where it was ingested and recorded before."""
        upload = envelope.payload
        if not isinstance(upload, MediaUploaded):
            raise BadMessage(f"ingest does not take {envelope.type}")
        path = self._workbench / uuid4().hex
        try:
            found = await self._examine(upload, path)
            fact = await self._place(envelope.project_id, upload, found, path)
        except ObjectMissing:
            # incoming/ is only swept after the fact was recorded: then this is a late redelivery, and no loss.
            if await self._was_done_before(envelope.project_id, upload):
                return None
            raise
        finally:
            await asyncio.get_running_loop().run_in_executor(self._pool, _remove, path)
        return envelope.answer(fact, producer=PRODUCER)

    async def _examine(self, upload: MediaUploaded, path: Path) -> Examined:
        """Fetch the bytes to `path` and look at them there, so that memory does not follow the file's size."""
        with metrics.STAGE_SECONDS.labels("ingest_fetch").time():
            await self._objects.fetch(upload.incoming_key, path)
        look = partial(
            self._examiner.examine,
            path,
            upload.original_name,
            mend=upload.mend or NOTHING_SAID,
            inside_archive=upload.archive_id is not None,
        )
        found = await asyncio.get_running_loop().run_in_executor(self._pool, look)
        if (found.sha256, found.bytes) != (upload.sha256, upload.bytes):
            raise StoreFault(
                f"{upload.incoming_key}: read {found.bytes} bytes with sha256 {found.sha256[:12]}…, "
                f"accepted were {upload.bytes} with {upload.sha256[:12]}…"
            )
        return found

    async def _place(self, project_id: str, upload: MediaUploaded, found: Examined, path: Path) -> Message:
        """Write what the file becomes; the fact that says so."""
        with metrics.STAGE_SECONDS.labels("ingest_store").time():
            match found.outcome:
                case View() as view:
                    return await self._store(project_id, upload, found, view)
                case Video() as video:
                    return await self._store_video(project_id, upload, found, video)
                case Archive() as archive:
                    return await self._unpack(path, project_id, upload, archive)
                case Quarantine() as verdict:
                    return await self._keep_in_quarantine(project_id, upload, verdict)

    async def _store(self, project_id: str, upload: MediaUploaded, found: Examined, view: View) -> MediaStored:
        fact = _stored(project_id, upload, found, view.original_width, view.original_height)
        await self._objects.copy(upload.incoming_key, fact.key)
        await self._objects.put(fact.view_key, view.data, content_type="image/jpeg")
        return fact

    async def _store_video(self, project_id: str, upload: MediaUploaded, found: Examined, video: Video) -> MediaStored:
        """The original, a view of each sampled frame, and the first of them once more as the poster."""
        fact = _stored(project_id, upload, found, video.width, video.height).model_copy(
            update={
                "duration_s": video.duration_s,
                "frame_rate": video.frame_rate,
                "frame_numbers": tuple(frame.number for frame in video.frames),
            }
        )
        await self._objects.copy(upload.incoming_key, fact.key)
        for frame in video.frames:
            key = frame_view_key(fact.view_key, frame.number)
            await self._objects.put(key, frame.view, content_type="image/jpeg")
        # Last: a redelivery takes the poster for a sign that all was done.
        await self._objects.put(fact.view_key, video.frames[0].view, content_type="image/jpeg")
        return fact

    async def _keep_in_quarantine(
        self, project_id: str, upload: MediaUploaded, verdict: Quarantine
    ) -> MediaQuarantined:
        key = quarantine_key(project_id, upload.media_id)
        if upload.incoming_key != key:  # a file sent back from quarantine may still lie there
            await self._objects.copy(upload.incoming_key, key)
        _log.info(
            "ingest.quarantined", media_id=str(upload.media_id), reason=str(verdict.reason), detail=verdict.detail
        )
        return MediaQuarantined(
            media_id=upload.media_id,
            deployment_id=upload.deployment.deployment_id,
            key=key,
            sha256=upload.sha256,
            bytes=upload.bytes,
            reason=verdict.reason,
            detail=verdict.detail,
            intake_number=upload.intake_number,
        )

    async def _was_done_before(self, project_id: str, upload: MediaUploaded) -> bool:
        """Whether its outcome is in the store. A quarantine from before it was sent back says nothing of this time."""
        keys = [view_key(project_id, upload.media_id), unpacked_key(project_id, upload.media_id)]
        if upload.intake_number == 1:
            keys.append(quarantine_key(project_id, upload.media_id))
        return any([await self._objects.head(key) is not None for key in keys])


def _stored(project_id: str, upload: MediaUploaded, found: Examined, width: int, height: int) -> MediaStored:
    """The fact that a file is media, of a still image."""
    deployment = upload.deployment
    captured_at = found.metadata.captured_at
    name = default_name(deployment.location_id, captured_at, found.sha256, found.file_type.extensions[0])
    return MediaStored(
        media_id=upload.media_id,
        deployment_id=deployment.deployment_id,
        key=media_key(project_id, deployment.deployment_id, name),
        view_key=view_key(project_id, upload.media_id),
        name=name,
        sha256=found.sha256,
        bytes=found.bytes,
        media_type=found.file_type.media_type,
        width=width,
        height=height,
        metadata=found.metadata,
        flags=tuple(str(flag) for flag in found.flags),
    )


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
