"""The whole pipeline against the bare predictor, both with a stand-in model that takes a fixed time per call.

    python bench/pipeline_bench.py [--mode embedded distributed] [--images 200] [--latency-ms 40 …] [--repeats 5]

Ours: a simulated season uploaded over the REST API by one sender per camera, until every answer is in the catalog.
`embedded` is one process (memory bus, SQLite, files); `distributed` is gateway, relay, recorder, ingest and inference
as processes on RabbitMQ, PostgreSQL and S3. Bare: images already decoded and fitted, in the worker's batches, as many
batches in hand as the worker has; per batch one call of the global model, then the three experts side by side, so two
latencies. Client, services, broker and database all share this machine's cores with the stand-in.
"""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness import Comparison, compare, options, report
from season_intake import SeasonIntake
from stand_in import stand_in_bundle
from systems import MODES

from varanger.common.adapters.predictor_fixed import FixedLatencyPredictor
from varanger.common.ports.predictor import ModelFile, UInt8Images
from varanger.common.releases import GLOBAL, ReleaseManifest, read_bundle
from varanger.common.settings import Settings
from varanger.fieldsim import Season, SeasonPlan, draw_season
from varanger.inference.adapters.decoding import prepare_image
from varanger.inference.application.answer_images import sides
from varanger.inference.main import BATCHES_AHEAD


class Bare:
    """The predictor alone."""

    def __init__(self, manifest: ReleaseManifest, images: UInt8Images, latency_ms: float) -> None:
        self._predictor = FixedLatencyPredictor(latency_ms / 1000)
        size = Settings().batch
        self._images = len(images)
        self._batches = [images[start : start + size] for start in range(0, len(images), size)]
        models = {
            name: ModelFile(stage.sha256, stage.path, stage.input_size, stage.classes)
            for name, stage in manifest.stages.items()
        }
        self._global = models.pop(GLOBAL)
        self._experts = tuple(models.values())

    async def answer(self) -> float:
        """Images/s."""
        in_hand = asyncio.Semaphore(BATCHES_AHEAD)
        begin = time.perf_counter()
        await asyncio.gather(*(self._one(batch, in_hand) for batch in self._batches))
        return self._images / (time.perf_counter() - begin)

    async def _one(self, batch: UInt8Images, in_hand: asyncio.Semaphore) -> None:
        async with in_hand:
            await self._predictor.run(self._global, batch)
            await asyncio.gather(*(self._predictor.run(expert, batch) for expert in self._experts))


def decoded(season: Season, manifest: ReleaseManifest) -> UInt8Images:
    """`[N, S, S, 3]`: every image of the season as the models take it."""
    (side,) = sides(manifest)
    limit = Settings().max_pixels
    files = ((season.folder / media.path).read_bytes() for media in season.media)
    return np.stack([prepare_image(data, frozenset({side}), max_pixels=limit).squares[side] for data in files])


async def measure(mode: str, season: Season, bundle: Path, latency_ms: float, repeats: int) -> Comparison:
    """One mode at one latency."""
    manifest = read_bundle(bundle)
    bare = Bare(manifest, await asyncio.to_thread(decoded, season, manifest), latency_ms)
    with MODES[mode](f"fixed://?latency_ms={latency_ms:g}") as system:
        async with SeasonIntake(system, season, bundle) as intake:
            return await compare(
                f"pipeline, {mode}, {latency_ms:g} ms a call",
                intake.send,
                "bare predictor",
                bare.answer,
                unit="images/s",
                repeats=repeats,
            )


async def main(modes: list[str], images: int, latencies_ms: list[float], repeats: int) -> None:
    """Draw the season once, then each mode at each latency."""
    with TemporaryDirectory(prefix="varanger-bench-") as name:
        folder = Path(name)
        season = await asyncio.to_thread(draw_season, SeasonPlan(seed=7, images=images), folder / "season")
        bundle = stand_in_bundle(folder / "release")
        report(
            *[await measure(mode, season, bundle, latency_ms, repeats) for mode in modes for latency_ms in latencies_ms]
        )


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--mode", nargs="+", choices=list(MODES), default=list(MODES))
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[40.0])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    size = (12, 1) if given.quick else (given.images, given.repeats)
    asyncio.run(main(given.mode, size[0], given.latency_ms, size[1]))
