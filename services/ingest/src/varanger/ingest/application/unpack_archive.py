"""The files of a zip become uploads of their own: each under `incoming/`, by an id that follows from the archive's."""

import asyncio
import json
from concurrent.futures import Executor
from itertools import islice
from pathlib import Path
from uuid import uuid4

from varanger.common.messages import MediaUnpacked, MediaUploaded, UnpackedEntry
from varanger.common.ports.objects import ObjectStore
from varanger.common.telemetry.health import Progress
from varanger.ingest.adapters.zip_archive import ZipArchive
from varanger.ingest.domain.archive import Archive, ArchiveEntry, ArchiveLimits, entry_media_id, entry_path
from varanger.ingest.domain.names import incoming_key, unpacked_key

_AT_A_TIME = 8
"""Entries on the workbench and on their way to the store."""


class UnpackArchive:
    """Puts every file of a verified archive into the store. Twice is the same as once.

    Args:
        objects: where the files go.
        limits: hold while inflating.
        pool: threads for inflating.
        workbench: an existing local folder; it holds a few files at a time.
        progress: told after each file, so that a long archive is not taken for a stall.
    """

    def __init__(
        self, objects: ObjectStore, limits: ArchiveLimits, *, pool: Executor, workbench: Path, progress: Progress
    ) -> None:
        self._objects = objects
        self._limits = limits
        self._pool = pool
        self._workbench = workbench
        self._progress = progress

    async def __call__(self, path: Path, project_id: str, upload: MediaUploaded, archive: Archive) -> MediaUnpacked:
        """The fact, after all its files are durable, and a note of them, which tells a late redelivery.

        Raises:
            DependencyDown: the object store does not answer.
            OSError: the disk failed.
        """
        archive_name = upload.original_path or upload.original_name
        loop = asyncio.get_running_loop()
        opened = await loop.run_in_executor(self._pool, ZipArchive, path, self._limits)
        with opened:
            left = iter(archive.entries)
            while few := list(islice(left, _AT_A_TIME)):
                await self._move(opened, project_id, upload, few)
        fact = MediaUnpacked(
            media_id=upload.media_id,
            entries=tuple(
                UnpackedEntry(
                    media_id=(media_id := entry_media_id(upload.media_id, entry.index)),
                    incoming_key=incoming_key(project_id, media_id),
                    sha256=entry.sha256,
                    bytes=entry.bytes,
                    original_name=entry.path.rpartition("/")[2],
                    original_path=entry_path(archive_name, entry.path),
                )
                for entry in archive.entries
            ),
        )
        note = json.dumps({"sha256": upload.sha256, "entries": len(fact.entries)}).encode()
        await self._objects.put(unpacked_key(project_id, upload.media_id), note, content_type="application/json")
        return fact

    async def _move(
        self, opened: ZipArchive, project_id: str, upload: MediaUploaded, entries: list[ArchiveEntry]
    ) -> None:
        """From the archive to the workbench one after the other, from there to the store side by side."""
        loop = asyncio.get_running_loop()
        targets = [self._workbench / uuid4().hex for _ in entries]
        try:
            for entry, target in zip(entries, targets, strict=True):
                await loop.run_in_executor(self._pool, opened.extract, entry, target)
            keys = [incoming_key(project_id, entry_media_id(upload.media_id, entry.index)) for entry in entries]
            outcomes = await asyncio.gather(*map(self._put, keys, targets), return_exceptions=True)
        finally:
            await loop.run_in_executor(self._pool, _remove, targets)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _put(self, key: str, path: Path) -> None:
        with self._progress.watching():
            await self._objects.put(key, path)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
