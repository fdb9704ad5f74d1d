"""Ingest per core on 12-megapixel files, against its bare parts and against what a script would do per file.

    python bench/ingest_bench.py [--files 12] [--repeats 7] [--quick]

All sides run on one core, one file at a time, on the same object store in a folder. The bare parts are get, sha256,
scaled decode to the same view, encode, copy and put: no metadata, names, temporary file, verdicts or facts. The script
starts ExifTool for each file, decodes it whole with Pillow, and puts it.
"""

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import simplejpeg
from harness import compare, options, report
from PIL import Image

from varanger.common.adapters import open_object_store
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaStored, MediaUploaded
from varanger.common.ports.objects import ObjectStore
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Progress
from varanger.common.words import DeploymentSnapshot
from varanger.fieldsim import twelve_megapixel
from varanger.ingest.application.ingest_media import IngestMedia
from varanger.ingest.domain.view import QUALITY, fit
from varanger.ingest.main import build_ingest


class Sides:
    """The three ways to take the same files in; each answers with files per second."""

    def __init__(self, objects: ObjectStore, ingest: IngestMedia, uploads: list[Envelope], files: list[Path]) -> None:
        self._objects = objects
        self._ingest = ingest
        self._uploads = uploads
        self._files = files

    async def ours(self) -> float:
        """The handler of the ingest queues."""
        begin = time.perf_counter()
        for upload in self._uploads:
            (answer,) = await self._ingest([upload])
            if not isinstance(answer.payload, MediaStored):
                raise RuntimeError(f"not stored: {answer.payload}")
        return len(self._uploads) / (time.perf_counter() - begin)

    async def bare_parts(self) -> float:
        """The costly steps alone."""
        begin = time.perf_counter()
        for upload in self._uploads:
            payload = upload.payload
            if not isinstance(payload, MediaUploaded):
                raise TypeError(payload.TYPE)
            data = await self._objects.get(payload.incoming_key)
            hashlib.sha256(data).hexdigest()
            height, width, _, _ = simplejpeg.decode_jpeg_header(data)
            size = fit(width, height)
            pixels = simplejpeg.decode_jpeg(data, "RGB", min_width=size[0], min_height=size[1])
            small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
            view = simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=QUALITY, colorsubsampling="420")
            await self._objects.copy(payload.incoming_key, f"bench/media/{payload.media_id}.jpg")
            await self._objects.put(f"bench/views/{payload.media_id}.jpg", view)
        return len(self._uploads) / (time.perf_counter() - begin)

    async def script(self) -> float:
        """ExifTool from cold, a full decode, put."""
        begin = time.perf_counter()
        for number, path in enumerate(self._files):
            subprocess.run(["exiftool", "-json", "-n", str(path)], check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221
            with Image.open(path) as image:
                image.load()
            await self._objects.put(f"bench/script/{number}.jpg", path)
        return len(self._files) / (time.perf_counter() - begin)


async def upload(objects: ObjectStore, path: Path) -> Envelope:
    """The file as the gateway hands it on."""
    data, media_id = await asyncio.to_thread(path.read_bytes), new_id()
    key = f"incoming/bench/{media_id}"
    await objects.put(key, data)
    payload = MediaUploaded(
        media_id=media_id,
        deployment=DeploymentSnapshot(deployment_id="D1", location_id="L1"),
        incoming_key=key,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        original_name=path.name,
        uploaded_at=datetime.now(UTC),
    )
    return Envelope.wrap(payload, project_id="bench", producer="bench/1")


async def main(files: int, repeats: int) -> None:
    """Draw the files, then measure."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with ExitStack() as resources:
        folder = Path(resources.enter_context(TemporaryDirectory(prefix="varanger-bench-")))
        objects = open_object_store(f"file://{folder}/objects")
        paths = list(twelve_megapixel(folder / "photos", files))
        uploads = [await upload(objects, path) for path in paths]
        ingest = build_ingest(Settings(threads=1), objects, resources, Progress(60.0))
        sides = Sides(objects, ingest, uploads, paths)
        rows = [
            await compare(
                "ingest", sides.ours, "bare parts", sides.bare_parts, unit="files/s", repeats=repeats, goal=0.8
            )
        ]
        if shutil.which("exiftool"):
            rows.append(
                await compare(
                    "ingest",
                    sides.ours,
                    "exiftool + full decode + put per file",
                    sides.script,
                    unit="files/s",
                    repeats=repeats,
                    goal=4.0,
                )
            )
        else:
            print("left out: exiftool is not on PATH", file=sys.stderr)
        report(*rows)
        await objects.close()


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    asyncio.run(main(*((1, 1) if given.quick else (given.files, given.repeats))))
