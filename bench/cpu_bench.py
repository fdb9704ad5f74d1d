"""CPU-seconds per image by process, with a real release: gateway, relay, recorder, ingest, inference.

    python bench/cpu_bench.py [--mode distributed embedded] [--release demo] [--predictor onnx://] [--images 200]
                              [--repeats 3] [--quick]

A simulated season is uploaded and answered as in pipeline_bench.py, once to warm up, then `--repeats` times. What a
process used is read from the system, its children (ingest's ExifTool) included; the sender, the broker, the database
and the object store are not counted. With `triton://host:port` the model's own work is left out too.
"""

import asyncio
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import Figure, options, report
from season_intake import SeasonIntake
from stand_in import stand_in_bundle
from systems import MODES

from varanger.app.release_source import find_bundle
from varanger.fieldsim import Season, SeasonPlan, draw_season

SETTLE_S = 1.0
"""After the last answer: acknowledgements and marks in the outbox still cost a little."""


async def measure(mode: str, season: Season, bundle: Path, predictor_url: str, repeats: int) -> list[Figure]:
    """One row per process, their sum, and the speed that was reached meanwhile."""
    spent: dict[str, list[float]] = defaultdict(list)
    speed: list[float] = []
    with MODES[mode](predictor_url) as system:
        async with SeasonIntake(system, season, bundle) as intake:
            await intake.send()
            await asyncio.sleep(SETTLE_S)
            for _ in range(repeats):
                before = system.cpu_seconds()
                speed.append(await intake.send())
                await asyncio.sleep(SETTLE_S)
                for name, seconds in system.cpu_seconds().items():
                    spent[name].append((seconds - before[name]) / len(season.media))
    if len(spent) > 1:
        spent["all"] = [sum(turn) for turn in zip(*spent.values(), strict=True)]
    rows = [Figure.of(f"CPU of {name}, {mode}", "CPU-s/image", seconds) for name, seconds in spent.items()]
    return [*rows, Figure.of(f"speed meanwhile, {mode}", "images/s", speed)]


async def main(modes: list[str], release: str, predictor_url: str, images: int, repeats: int) -> None:
    """Draw the season once, then each mode."""
    with TemporaryDirectory(prefix="varanger-bench-") as name:
        folder = Path(name)
        season = await asyncio.to_thread(draw_season, SeasonPlan(seed=7, images=images), folder / "season")
        bundle = stand_in_bundle(folder / "release") if release == "stand-in" else find_bundle(release)
        rows = [row for mode in modes for row in await measure(mode, season, bundle, predictor_url, repeats)]
    report(*rows)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--mode", nargs="+", choices=list(MODES), default=["distributed", "embedded"])
    parser.add_argument("--release", default="demo", help="`demo`, a release folder, or `stand-in` (with fixed://)")
    parser.add_argument("--predictor", default="onnx://")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    size = (12, 1) if given.quick else (given.images, given.repeats)
    asyncio.run(main(given.mode, given.release, given.predictor, *size))
