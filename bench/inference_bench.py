"""The inference worker's CPU-seconds per image by part, and against its models alone, in this process.

    python bench/inference_bench.py [--release demo] [--predictor onnx://] [--images 96] [--repeats 5] [--quick]

Ours: the handler of the inference queues on the worker's batches, views in a folder. Models alone: the same calls on
the same batches, replayed. Both sides count CPU, not time, so a busy machine changes them little. The parts are read
in the same turns: views fetched, decoded and letterboxed; each stage's model; and what is left: messages, reading the
boxes, the routing rule, the vote, calibration. Experts' seconds are per image of all, not per image they were asked
about. Simulated images are small enough to be their own views.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import simplejpeg
from harness import Figure, compare, options, report
from PIL import Image
from stand_in import stand_in_bundle

from varanger.app.release_source import find_bundle
from varanger.common.adapters import open_object_store, open_predictor
from varanger.common.answering.boxes import Letterbox
from varanger.common.ids import new_id
from varanger.common.messages import ClassificationRequested, Envelope, MediaClassified
from varanger.common.ports.objects import ObjectStore
from varanger.common.ports.predictor import ModelFile, Predictor, StageOutput, UInt8Images
from varanger.common.releases import MANIFEST, ReleaseManifest, object_prefix, read_bundle
from varanger.common.settings import Settings
from varanger.common.words import Purpose
from varanger.fieldsim import SeasonPlan, draw_season
from varanger.inference.adapters.decoding import prepare_image
from varanger.inference.application.answer_images import sides
from varanger.inference.application.classify import ClassifyMedia

BATCH = Settings().batch
MAX_PIXELS = Settings().max_pixels


class Metered:
    """A predictor that remembers its calls, and the CPU each model took. One call at a time, so that it can tell."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._alone = asyncio.Lock()
        self.cpu_s: dict[str, float] = defaultdict(float)
        self.calls: list[tuple[ModelFile, UInt8Images]] = []

    async def ensure_ready(self, model: ModelFile) -> None:
        await self._predictor.ensure_ready(model)

    async def run(self, model: ModelFile, images: UInt8Images) -> StageOutput:
        async with self._alone:
            begin = time.process_time()
            output = await self._predictor.run(model, images)
            self.cpu_s[model.sha256] += time.process_time() - begin
        self.calls.append((model, images))
        return output

    async def unload(self, model: ModelFile) -> None:
        await self._predictor.unload(model)

    async def ping(self) -> None:
        await self._predictor.ping()

    async def close(self) -> None:
        await self._predictor.close()


class Worker:
    """Both sides on the same requests; each answers with images per CPU-second."""

    def __init__(self, manifest: ReleaseManifest, objects: ObjectStore, predictor: Predictor, views: Sequence[bytes]):
        self._manifest = manifest
        self._predictor = predictor
        self._metered = Metered(predictor)
        self._views = views
        self._objects = objects
        self._pool = ThreadPoolExecutor(Settings().threads)
        self._handler = ClassifyMedia(
            objects, self._metered, pool=self._pool, producer="bench/1", max_pixels=MAX_PIXELS
        )
        self._requests: list[Envelope] = []
        self.parts: dict[str, list[float]] = defaultdict(list)
        """CPU-seconds per image of every turn, by part."""

    async def begin(self) -> None:
        """Store the views, load the models."""
        for number, view in enumerate(self._views):
            await self._objects.put(f"views/bench/{number}.jpg", view)
            payload = ClassificationRequested(
                media_id=new_id(),
                release_id=self._manifest.release_id,
                purpose=Purpose.INTAKE,
                key=f"views/bench/{number}.jpg",
                view_key=f"views/bench/{number}.jpg",
                sha256="0" * 64,
            )
            self._requests.append(Envelope.wrap(payload, project_id="bench", producer="bench/1"))

    async def ours(self) -> float:
        """The handler, batch by batch; the parts are taken on the way."""
        self._metered.cpu_s.clear()
        self._metered.calls.clear()
        begin = time.process_time()
        for start in range(0, len(self._requests), BATCH):
            for answer in await self._handler(self._requests[start : start + BATCH]):
                if not isinstance(answer.payload, MediaClassified):
                    raise RuntimeError(f"not classified: {answer.payload}")
        whole = time.process_time() - begin
        await self._take_parts(whole)
        return len(self._views) / whole

    async def models_alone(self) -> float:
        """The calls that `ours` last made (it goes second, so the first turn has none: the handler runs once)."""
        if not self._metered.calls:
            await self.ours()
        calls = list(self._metered.calls)
        begin = time.process_time()
        for model, images in calls:
            await self._predictor.run(model, images)
        return len(self._views) / (time.process_time() - begin)

    async def _take_parts(self, whole: float) -> None:
        stages = {stage.sha256: name for name, stage in self._manifest.stages.items()}
        spent = {f"model {stages[sha256]}": seconds for sha256, seconds in self._metered.cpu_s.items()}
        begin = time.process_time()
        for number in range(len(self._views)):
            await self._objects.get(f"views/bench/{number}.jpg")
        spent["fetch view (file store)"] = time.process_time() - begin
        spent["decode view"], prepared = self._decoding(), self._preparing()
        spent["letterbox"] = prepared - spent["decode view"]
        spent["routing and all else"] = whole - sum(spent.values())
        for part, seconds in {**spent, "whole": whole}.items():
            self.parts[part].append(seconds / len(self._views))

    def _decoding(self) -> float:
        side = max(sides(self._manifest))
        begin = time.process_time()
        for view in self._views:
            with Image.open(BytesIO(view)) as header:
                width, height = Letterbox(*header.size, side).inner
            simplejpeg.decode_jpeg(view, "RGB", min_width=width, min_height=height)
        return time.process_time() - begin

    def _preparing(self) -> float:
        begin = time.process_time()
        for view in self._views:
            prepare_image(view, sides(self._manifest), max_pixels=MAX_PIXELS)
        return time.process_time() - begin


async def main(release: str, predictor_url: str, images: int, repeats: int) -> None:
    """Draw, then measure."""
    with TemporaryDirectory(prefix="varanger-bench-") as name:
        folder = Path(name)
        season = await asyncio.to_thread(draw_season, SeasonPlan(seed=7, images=images), folder / "season")
        views = [(season.folder / media.path).read_bytes() for media in season.media]
        bundle = stand_in_bundle(folder / "release") if release == "stand-in" else find_bundle(release)
        manifest = read_bundle(bundle)
        objects = open_object_store(f"file://{folder}/objects")
        prefix = object_prefix(manifest.release_id)
        await objects.put(prefix + MANIFEST, manifest.to_canonical_json())
        for stage in manifest.stages.values():
            await objects.put(prefix + stage.path, bundle / stage.path)
        predictor = open_predictor(predictor_url, objects.get)
        worker = Worker(manifest, objects, predictor, views)
        await worker.begin()
        row = await compare(
            "inference worker",
            worker.ours,
            "its models alone",
            worker.models_alone,
            unit="images/CPU-s",
            repeats=repeats,
        )
        parts = [Figure.of(f"CPU of {part}", "CPU-s/image", spent[-repeats:]) for part, spent in worker.parts.items()]
        report(row, *parts)
        await predictor.close()


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--release", default="demo", help="`demo`, a release folder, or `stand-in` (with fixed://)")
    parser.add_argument("--predictor", default="onnx://")
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    size = (BATCH, 1) if given.quick else (given.images, given.repeats)
    asyncio.run(main(given.release, given.predictor, *size))
