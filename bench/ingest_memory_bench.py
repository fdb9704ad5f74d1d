"""Resident memory of ingest over many images: does it stay flat?

    python bench/ingest_memory_bench.py [--images 20000] [--quick]

One process ingests small drawn images, each of other bytes, one after the other from a store in a folder, whose objects
are removed again. Prints the memory of the process, and of ExifTool's beside it, at every tenth of the way. What counts
is what is added after the first tenth, when every buffer and pool has had its turn. Linux only: it reads /proc.
"""

import asyncio
import hashlib
import io
import os
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness import Figure, options, report
from PIL import Image

from varanger.common.adapters import open_object_store
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaStored, MediaUploaded
from varanger.common.ports.objects import ObjectStore
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Progress
from varanger.common.words import DeploymentSnapshot
from varanger.ingest.application.ingest_media import IngestMedia
from varanger.ingest.main import build_ingest

SIZES = ((640, 480), (800, 600), (1600, 1200), (480, 640))
ADDED_GOAL_MIB = 8.0
PARTS = 10
DRAWN = 40


def resident_mib(pid: int | str = "self") -> float:
    """Resident memory of a process; 0 where it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except FileNotFoundError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descendants(pid: int) -> list[int]:
    """Process ids of everything that this process has started."""
    children: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        children += map(int, (thread / "children").read_text().split())
    return children + [one for child in children for one in descendants(child)]


def drawn(number: int) -> bytes:
    """A small image of coarse texture."""
    coarse = np.random.default_rng(number).integers(40, 210, (24, 32, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize(SIZES[number % len(SIZES)], Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


async def take_in(objects: ObjectStore, ingest: IngestMedia, data: bytes) -> None:
    """One image from upload to fact; leaves no object."""
    media_id = new_id()
    key = f"incoming/bench/{media_id}"
    await objects.put(key, data)
    payload = MediaUploaded(
        media_id=media_id,
        deployment=DeploymentSnapshot(deployment_id="D1", location_id="L1"),
        incoming_key=key,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        original_name="IMG_0001.JPG",
        uploaded_at=datetime.now(UTC),
    )
    (answer,) = await ingest([Envelope.wrap(payload, project_id="bench", producer="bench/1")])
    if not isinstance(answer.payload, MediaStored):
        raise RuntimeError(f"not stored: {answer.payload}")
    for each in (key, answer.payload.key, answer.payload.view_key):
        await objects.delete(each)


async def main(images: int) -> None:
    """Ingest, and look at the memory every tenth of the way."""
    with ExitStack() as resources:
        folder = Path(resources.enter_context(TemporaryDirectory(prefix="varanger-bench-")))
        objects = open_object_store(f"file://{folder}/objects")
        ingest = build_ingest(Settings(threads=1), objects, resources, Progress(60.0))
        pictures = [drawn(number) for number in range(DRAWN)]
        ours, exiftools = [], []
        for number in range(images):
            # What follows the end marker is no picture, and makes other bytes of it.
            await take_in(objects, ingest, pictures[number % DRAWN] + number.to_bytes(8, "big"))
            if (number + 1) % max(1, images // PARTS) == 0:
                ours.append(resident_mib())
                exiftools.append(sum(map(resident_mib, descendants(os.getpid()))))
                print(f"{number + 1:7,} images: {ours[-1]:.1f} MiB, ExifTool {exiftools[-1]:.1f} MiB", flush=True)
        await objects.close()
    report(
        *(
            Figure.of(f"memory added by {name} after the first tenth of {images:,} images", "MiB", [added], goal=goal)
            for name, added, goal in (
                ("ingest", max(ours[1:]) - ours[0], ADDED_GOAL_MIB),
                ("ExifTool", max(exiftools[1:]) - exiftools[0], ADDED_GOAL_MIB),
            )
        )
    )


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    given = parser.parse_args()
    if not Path("/proc/self/statm").exists():
        sys.exit("this benchmark reads /proc, which this machine has not")
    asyncio.run(main(PARTS * 2 if given.quick else max(PARTS * 2, given.images)))
