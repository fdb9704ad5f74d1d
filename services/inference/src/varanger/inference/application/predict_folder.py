"""Answer a folder of images without server, queue or catalog: `varanger predict DIR --release R --out results.json`."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from varanger.common.adapters import open_predictor
from varanger.common.clock import now
from varanger.common.ports.predictor import Predictor
from varanger.common.releases import ReleaseManifest, StageModel, read_bundle
from varanger.inference import __version__
from varanger.inference.adapters.decoding import PreparedImage, UndecodableImage, prepare_image
from varanger.inference.application.answer_images import answer_images, sides
from varanger.inference.domain.megadetector import failure_entry, image_entry, results

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".gif", ".bmp", ".webp"})
BATCHES_AHEAD = 2
"""Batches being decoded while one is with the model; bounds the memory."""

OnProgress = Callable[[int, int], None]
"""Called with the images answered or failed so far, and all there are."""


@dataclass
class Summary:
    """What happened."""

    images: int = 0
    failed: int = 0
    ignored: int = 0
    """Files that are no images by their names: videos, lists, whatever else lies there."""
    labels: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)


def predict_folder(
    folder: Path,
    bundle: Path,
    out: Path,
    *,
    progress: OnProgress = lambda done, total: None,
    recursive: bool = True,
    batch: int = 8,
    threads: int | None = None,
    max_pixels: int = 200_000_000,
    predictor_url: str = "onnx://",
) -> Summary:
    """Write MegaDetector JSON 1.6 for every image in a folder; one broken image never ends the run.

    Args:
        folder: searched for images by their suffix, in name order; links to folders are not followed.
        bundle: a release's folder, checked file by file before the first image.
        out: replaced whole at the end, so that it is never half a file.
        progress: called after every batch.
        recursive: look into folders within.
        batch: images per model call.
        threads: of the model, and of decoding; None: as many as there are processors.
        max_pixels: a larger image is a failure.
        predictor_url: `onnx://` in this process, or another predictor.

    Raises:
        NotADirectoryError: `folder` is none.
        ReleaseInvalid: the bundle does not hold together.
        ModelFault: a model cannot be loaded or breaks the model contract.
        OSError: `out` cannot be written.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder")
    manifest = read_bundle(bundle)
    files, ignored = _find(folder, recursive=recursive)
    run = _Run(folder, bundle, manifest, batch, max_pixels, progress, Summary(len(files), ignored=ignored))
    images = asyncio.run(run.answer(files, predictor_url, threads or os.cpu_count() or 1))
    whole = results(images, manifest, completed_at=now(), code_version=f"inference/{__version__}")
    _write(out, json.dumps(whole, indent=1))
    return run.summary


@dataclass(frozen=True)
class _Run:
    folder: Path
    bundle: Path
    manifest: ReleaseManifest
    batch: int
    max_pixels: int
    progress: OnProgress
    summary: Summary

    async def answer(self, files: Sequence[Path], predictor_url: str, threads: int) -> list[dict[str, Any]]:
        """One entry per file, in order."""
        predictor = open_predictor(predictor_url, _read_file, threads=threads)
        entries: list[dict[str, Any]] = []
        batches = [files[start : start + self.batch] for start in range(0, len(files), self.batch)]
        try:
            with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
                ahead = [asyncio.create_task(self._prepare(pool, some)) for some in batches[:BATCHES_AHEAD]]
                for number, some in enumerate(batches):
                    prepared = await ahead.pop(0)
                    if number + BATCHES_AHEAD < len(batches):
                        ahead.append(asyncio.create_task(self._prepare(pool, batches[number + BATCHES_AHEAD])))
                    entries += await self._entries(some, prepared, predictor)
                    self.progress(len(entries), len(files))
        finally:
            await predictor.close()
        return entries

    async def _prepare(self, pool: Executor, files: Sequence[Path]) -> list[PreparedImage | str]:
        """Each image, or why there is none."""
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(pool, self._prepare_one, file) for file in files))

    def _prepare_one(self, file: Path) -> PreparedImage | str:
        try:
            return prepare_image(file.read_bytes(), sides(self.manifest), max_pixels=self.max_pixels)
        except UndecodableImage as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {error.strerror}"

    async def _entries(
        self, files: Sequence[Path], prepared: Sequence[PreparedImage | str], predictor: Predictor
    ) -> list[dict[str, Any]]:
        images = [one for one in prepared if isinstance(one, PreparedImage)]
        predictions = iter(
            await answer_images(self.manifest, images, predictor, self._locate, code_version=f"inference/{__version__}")
            if images
            else []
        )
        entries = []
        for file, one in zip(files, prepared, strict=True):
            name = file.relative_to(self.folder).as_posix()
            if isinstance(one, str):
                self.summary.failed += 1
                entries.append(failure_entry(name, one))
                continue
            prediction = next(predictions)
            self.summary.labels[prediction.label] += 1
            self.summary.routes[prediction.route] += 1
            entries.append(image_entry(name, prediction, self.manifest))
        return entries

    def _locate(self, model: StageModel) -> str:
        return str(self.bundle / model.path)


def _read_file(path: str) -> Awaitable[bytes]:
    return asyncio.to_thread(Path(path).read_bytes)


def _find(folder: Path, *, recursive: bool) -> tuple[list[Path], int]:
    """The images in name order, and how many other files there are. Hidden files and folders are passed over."""
    files = [file for file in _walk(folder, recursive=recursive) if not file.name.startswith(".")]
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    return sorted(images), len(files) - len(images)


def _walk(folder: Path, *, recursive: bool) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        yield from (Path(place) / name for name in names)


def _write(out: Path, text: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(out)
