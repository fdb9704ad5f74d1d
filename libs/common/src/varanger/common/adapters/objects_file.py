"""`file:///folder`: the object store of the embedded mode. A key is a path below the folder, readable by any program.

What is written goes to a temporary file first, is flushed to the disk, and appears under its key by one rename;
then the folder is flushed too. A crash leaves at most a temporary file, which no key can name and which the next
start removes. One key must not be another key's folder (`a` and `a/b`).
"""

import asyncio
import errno
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import IO, ParamSpec, TypeVar
from uuid import uuid4

from varanger.common.adapters.object_keys import check_key, is_key_part
from varanger.common.adapters.pieces import Piece, Sha256Of, in_pieces, to_its_end
from varanger.common.errors import DependencyDown, ObjectMissing
from varanger.common.ports.objects import Joined, StoredObject

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")

_TEMPORARY = "~temporary"
"""Outside the alphabet of keys."""
_LEFT_OVER_AFTER_S = 3600.0
"""A temporary file untouched for this long was left by a crash; another process may be writing a younger one."""
_NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_NO_LINKS = {errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV}
"""What file systems without hard links (exFAT on an SD card) answer."""
_PIECE_BYTES = 1 << 20
"""Of a stream, gathered before it is hashed and written."""
_LIST_BATCH = 1000


class FileObjectStore:
    """`ObjectStore` in a folder, on threads of its own."""

    direct = None

    def __init__(self, folder: Path, *, threads: int = 4) -> None:
        self._folder = folder.absolute()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="objects-file")
        self._temporary = self._folder / _TEMPORARY
        self._temporary.mkdir(parents=True, exist_ok=True)
        _flush_folder(self._folder.parent)
        _flush_folder(self._folder)
        self._remove_left_overs()

    async def put(self, key: str, data: bytes | Path, *, content_type: str = "application/octet-stream") -> None:
        """Write, flush, rename, flush the folder. The content type stays in the key's ending."""
        await self._run(key, self._put, self._path(key), data)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, sha256: str) -> int:
        """As a put, written and hashed as it comes."""
        path, temporary = self._path(key), self._temporary / uuid4().hex
        come = Sha256Of()
        file = await to_its_end(self._run(key, temporary.open, "xb"))

        def write(piece: Piece) -> None:
            come.add(piece)
            file.writelines(piece)

        def show() -> None:
            come.check(sha256)
            file.flush()
            os.fsync(file.fileno())
            self._show(temporary, path)

        def let_go() -> None:
            temporary.unlink(missing_ok=True)
            file.close()

        try:
            async for piece in in_pieces(chunks, _PIECE_BYTES):
                await to_its_end(self._run(key, write, piece))
            await to_its_end(self._run(key, show))
        finally:
            await to_its_end(self._run(key, let_go))
        return come.bytes

    async def get(self, key: str) -> bytes:
        """The whole object."""
        return await self._run(key, self._path(key).read_bytes)

    async def fetch(self, key: str, path: Path) -> None:
        """Copy the object to a local file."""
        await self._run(key, shutil.copyfile, self._path(key), path)

    async def stream(self, key: str, *, chunk_bytes: int = 1 << 18) -> AsyncIterator[bytes]:
        """The object in chunks."""
        file = await self._run(key, self._path(key).open, "rb")
        try:
            while chunk := await self._run(key, file.read, chunk_bytes):
                yield chunk
        finally:
            file.close()

    async def copy(self, source: str, target: str) -> None:
        """A hard link where the file system has them: nothing here ever writes into an existing file."""
        await self._run(source, self._copy, self._path(source), self._path(target))

    async def join(self, sources: Sequence[str], target: str) -> Joined:
        """Written as one temporary file, hashed on the way, then shown under its key."""
        paths = [self._path(key) for key in sources]
        return await self._run(", ".join(sources)[:200], self._join, paths, self._path(target))

    async def head(self, key: str) -> StoredObject | None:
        """What is there, or None."""
        try:
            return await self._run(key, self._stat, key)
        except ObjectMissing:
            return None

    async def delete(self, key: str) -> None:
        """Remove, and flush the folder."""
        with suppress(ObjectMissing):
            await self._run(key, self._delete, self._path(key))

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Every object whose key starts with `prefix`, in key order."""
        objects = self._walk(self._folder, "", prefix)
        while batch := await self._run(prefix, lambda: list(islice(objects, _LIST_BATCH))):
            for stored in batch:
                yield stored

    async def ping(self) -> None:
        """Raises DependencyDown where the folder is gone or cannot be written to."""
        await self._run("", self._ping)

    async def close(self) -> None:
        """Wait for what is under way and let the threads go."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(
        self, key: str, work: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Answer:
        def guarded() -> _Answer:
            try:
                return work(*args, **kwargs)
            except _NOT_THERE as error:
                if not str(error.filename).startswith(str(self._folder)):
                    raise  # the caller's own local file
                if self._temporary.is_dir():
                    raise ObjectMissing(f"no object {key!r}") from error
                raise DependencyDown(f"object folder {self._folder} is gone") from error
            except OSError as error:
                raise DependencyDown(f"object folder {self._folder}: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)

    def _path(self, key: str) -> Path:
        return self._folder / check_key(key)

    def _put(self, path: Path, data: bytes | Path) -> None:
        def write(file: IO[bytes]) -> None:
            if isinstance(data, bytes):
                file.write(data)
            else:
                with data.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)

        self._write(path, write)

    def _join(self, sources: Sequence[Path], target: Path) -> Joined:
        total, sha256 = 0, hashlib.sha256()

        def write(file: IO[bytes]) -> None:
            nonlocal total
            for path in sources:
                with path.open("rb") as source:
                    while chunk := source.read(1 << 20):
                        sha256.update(chunk)
                        total += file.write(chunk)

        self._write(target, write)
        return Joined(total, sha256.hexdigest())

    def _write(self, path: Path, write: Callable[[IO[bytes]], None]) -> None:
        temporary = self._temporary / uuid4().hex
        try:
            with temporary.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            self._show(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _copy(self, source: Path, target: Path) -> None:
        temporary = self._temporary / uuid4().hex
        try:
            try:
                os.link(source, temporary)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self._put(target, source)
                return
            with temporary.open("rb") as file:
                # A copy is as young as the copying: who sweeps by age must not take it for its source.
                os.utime(file.fileno())
                os.fsync(file.fileno())
            self._show(temporary, target)
        finally:
            # rename() leaves both names where they are already links to the same file.
            temporary.unlink(missing_ok=True)

    def _show(self, temporary: Path, path: Path) -> None:
        try:
            self._make_folder(path.parent)
            temporary.replace(path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ValueError(f"a key is another key's folder: {path.relative_to(self._folder)}") from error
        _flush_folder(path.parent)

    def _make_folder(self, folder: Path) -> None:
        """Make what is missing below the store's own folder; that one is never made again (a drive pulled out)."""
        if folder == self._folder or folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush_folder(folder.parent)

    def _delete(self, path: Path) -> None:
        path.unlink()
        _flush_folder(path.parent)

    def _stat(self, key: str) -> StoredObject:
        path = self._path(key)
        found = path.stat()
        if not S_ISREG(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, "a folder", str(path))
        return StoredObject(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def _walk(self, folder: Path, base: str, prefix: str) -> Iterator[StoredObject]:
        """Depth first, a folder sorted as its name with `/`: together that is the order of the keys."""
        with os.scandir(folder) as entries:
            found = [(entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in entries]
        for name, entry in sorted(found, key=lambda one: one[0]):
            key = base + name
            if not is_key_part(entry.name):
                continue  # our temporary folder, or a stranger's file that no key could name
            if name.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(folder / entry.name, key, prefix)
            elif key.startswith(prefix) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    yield self._stat(key)

    def _ping(self) -> None:
        probe = self._temporary / uuid4().hex
        probe.touch()
        probe.unlink()

    def _remove_left_overs(self) -> None:
        for path in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _LEFT_OVER_AFTER_S:
                    path.unlink()


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
