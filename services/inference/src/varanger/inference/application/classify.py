"""The handler of `classification.requested.v1`: a batch of requests in, `media.classified.v1` or `media.failed.v1` out.

Stateless and idempotent: the same request gives the same answer, whoever works on it, and however often.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor

from varanger.common.errors import BadMessage, DependencyDown, StoreFault
from varanger.common.messages import ClassificationRequested, Envelope, MediaClassified, MediaFailed
from varanger.common.ports.objects import ObjectStore
from varanger.common.ports.predictor import Predictor
from varanger.common.releases import ReleaseManifest, StageModel, object_prefix
from varanger.common.telemetry import metrics
from varanger.common.words import Prediction, ReleaseId
from varanger.inference.adapters.decoding import PreparedImage, UndecodableImage, prepare_image
from varanger.inference.application.answer_images import answer_images, sides
from varanger.inference.application.release_shelf import ReleaseShelf


class ClassifyMedia:
    """The handler of the `inference` queues.

    Args:
        objects: where views, originals and releases are.
        predictor: runs the models.
        pool: threads for decoding.
        producer: stands in every envelope sent, and as the code version in every prediction.
        max_pixels: a larger image is not decoded.
    """

    def __init__(
        self, objects: ObjectStore, predictor: Predictor, *, pool: Executor, producer: str, max_pixels: int
    ) -> None:
        self._objects = objects
        self._predictor = predictor
        self._pool = pool
        self._producer = producer
        self._max_pixels = max_pixels
        self._releases = ReleaseShelf(objects)

    async def __call__(self, batch: Sequence[Envelope]) -> list[Envelope]:
        """Answer every request of the batch, in order.

        An image that cannot be decoded is answered with `media.failed.v1` and stops no other.

        Raises:
            BadMessage: an envelope that holds no request.
            ObjectMissing: a view, an original or a release is not there (yet).
            StoreFault: the store answered with other bytes than the recorded ones.
            DependencyDown: object store or model server does not answer.
            ModelFault: a model cannot be loaded or breaks the model contract.
        """
        requests = [_request(envelope) for envelope in batch]
        by_release: dict[ReleaseId, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            by_release[request.release_id].append(index)
        outcomes: dict[int, Prediction | UndecodableImage] = {}
        for release_id, indices in by_release.items():
            answers = await self._answer(release_id, [requests[index] for index in indices])
            outcomes.update(zip(indices, answers, strict=True))
        return [
            envelope.answer(_fact(requests[index], outcomes[index]), producer=self._producer)
            for index, envelope in enumerate(batch)
        ]

    async def _answer(
        self, release_id: ReleaseId, requests: Sequence[ClassificationRequested]
    ) -> list[Prediction | UndecodableImage]:
        manifest = await self._releases.get(release_id)
        prepared = await asyncio.gather(
            *(self._prepare(manifest, request) for request in requests), return_exceptions=True
        )
        _raise_first_fault(prepared)
        images = [image for image in prepared if isinstance(image, PreparedImage)]

        def locate(model: StageModel) -> str:
            return object_prefix(release_id) + model.path

        predictions = iter(
            await answer_images(manifest, images, self._predictor, locate, code_version=self._producer)
            if images
            else []
        )
        return [one if isinstance(one, UndecodableImage) else next(predictions) for one in prepared]

    async def _prepare(self, manifest: ReleaseManifest, request: ClassificationRequested) -> PreparedImage:
        try:
            return await self._read(manifest, request)
        except UndecodableImage:
            # Ingest decoded this image, so a bad read is likelier than a bad image: read it once more.
            return await self._read(manifest, request)

    async def _read(self, manifest: ReleaseManifest, request: ClassificationRequested) -> PreparedImage:
        with metrics.STAGE_SECONDS.labels("inference.fetch").time():
            data = await self._objects.get(request.key if _wants_original(manifest, request) else request.view_key)
        loop = asyncio.get_running_loop()
        with metrics.STAGE_SECONDS.labels("inference.decode").time():
            return await loop.run_in_executor(self._pool, self._decode, manifest, request, data)

    def _decode(self, manifest: ReleaseManifest, request: ClassificationRequested, data: bytes) -> PreparedImage:
        if _wants_original(manifest, request) and hashlib.sha256(data).hexdigest() != request.sha256:
            raise StoreFault(f"{request.key}: these bytes are not the ones recorded")
        return prepare_image(data, sides(manifest), max_pixels=self._max_pixels)


def _request(envelope: Envelope) -> ClassificationRequested:
    if not isinstance(envelope.payload, ClassificationRequested):
        raise BadMessage(f"type: inference takes {ClassificationRequested.TYPE}, not {envelope.type}")
    return envelope.payload


def _wants_original(manifest: ReleaseManifest, request: ClassificationRequested) -> bool:
    """The original of a video is no image: its frames are there as views alone."""
    return manifest.image == "original" and request.frame_number is None


def _raise_first_fault(outcomes: Sequence[PreparedImage | BaseException]) -> None:
    """What is down is told before what is wrong: then the batch waits, and no attempt is counted."""
    faults = [one for one in outcomes if isinstance(one, BaseException) and not isinstance(one, UndecodableImage)]
    faults.sort(key=lambda fault: not isinstance(fault, DependencyDown))
    if faults:
        raise faults[0]


def _fact(request: ClassificationRequested, outcome: Prediction | UndecodableImage) -> MediaClassified | MediaFailed:
    if isinstance(outcome, UndecodableImage):
        return MediaFailed(
            media_id=request.media_id,
            release_id=request.release_id,
            purpose=request.purpose,
            frame_number=request.frame_number,
            reason=f"undecodable: {outcome}",
        )
    if request.frame_number is not None:
        outcome = outcome.model_copy(update={"image_seen": "view"})
    return MediaClassified(
        media_id=request.media_id,
        release_id=request.release_id,
        purpose=request.purpose,
        frame_number=request.frame_number,
        prediction=outcome,
    )
