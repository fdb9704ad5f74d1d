"""MB/s through the gateway, by PUT and by form, against the same files put straight into the same S3 store.

    python bench/gateway_upload_bench.py [--sizes 5 100] [--at-once 4] [--repeats 7] [--quick]

Each turn sends files that nobody has seen, so many at once. All sides read them from the same folder and send them with
the same HTTP client, urllib3: the gateway's with a sha256 made first where the address needs it, the store's with the
`minio` client as it comes (parts of 5 MiB, three at once). The gateway verifies each file, puts it into that store and
commits its rows to PostgreSQL before it answers. What a turn stored is removed after it, unmeasured.

Before that the gateway's memory, fresh from its start, while files of 1 MB and then of 512 MB come in.
"""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlsplit

import urllib3
from harness import Comparison, Figure, compare, options, report
from minio import Minio
from systems import System, gateway_alone

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Scope
from varanger.client import VarangerClient
from varanger.common.catalog import open_catalog

MB = 1_000_000
TURN_BYTES = 200 * MB
"""Sent in one turn, at the least."""
PROJECT, DEPLOYMENT = "bench", "D1"
GOAL = 0.8
MEMORY_GOAL = 32.0
"""MiB: the parts of a large file that are on their way to the store."""


class Sender:
    """One gateway, the bucket behind it, and three ways to bring files there."""

    def __init__(self, system: System, key: str, at_once: int) -> None:
        self._system = system
        self._threads = ThreadPoolExecutor(at_once)
        self._http = urllib3.PoolManager(maxsize=at_once, headers={"Authorization": f"Bearer {key}"}, blocksize=1 << 20)
        url = urlsplit(system.objects_url)
        self._bucket = url.path.strip("/")
        self._s3 = Minio(f"{url.hostname}:{url.port}", access_key=url.username, secret_key=url.password, secure=False)

    def turn(self, send: Callable[[Path], None], files: Iterable[Path]) -> float:
        """MB/s of sending these files, with new content."""
        sent = [_renewed(path) for path in files]
        begin = time.perf_counter()
        list(self._threads.map(send, sent))
        rate = sum(path.stat().st_size for path in sent) / MB / (time.perf_counter() - begin)
        for item in self._s3.list_objects(self._bucket, recursive=True):
            self._s3.remove_object(self._bucket, str(item.object_name))
        return rate

    def by_put(self, path: Path) -> None:
        """`PUT /v1/uploads/sha256/{digest}`."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            where = f"project={PROJECT}&deployment={DEPLOYMENT}&path={quote(path.name)}"
            self._ask("PUT", f"/v1/uploads/sha256/{digest}?{where}", file, path.stat().st_size, "image/jpeg")

    def by_form(self, path: Path) -> None:
        """The form of one file."""
        head = f'--B\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'.encode()
        tail = b"\r\n--B--\r\n"

        def body() -> Iterator[bytes]:
            yield head
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    yield chunk
            yield tail

        size = len(head) + path.stat().st_size + len(tail)
        url = f"/v1/projects/{PROJECT}/deployments/{DEPLOYMENT}/media"
        self._ask("POST", url, body(), size, "multipart/form-data; boundary=B")

    def straight(self, path: Path) -> None:
        """Into the store, past the gateway."""
        self._s3.fput_object(self._bucket, f"straight/{path.name}", str(path))

    def _ask(self, method: str, url: str, body: object, size: int, content_type: str) -> None:
        headers = {**self._http.headers, "Content-Length": str(size), "Content-Type": content_type}
        answer = self._http.request(method, self._system.url + url, body=body, headers=headers, retries=False)
        if answer.status != 201:
            raise RuntimeError(f"{method} {url}: {answer.status} {answer.data[:500]!r}")


async def speed(sender: Sender, folder: Path, size: int, repeats: int) -> list[Comparison]:
    """Both ways through the gateway, each against the store alone."""
    rows = []
    with _files(folder, size, max(1, TURN_BYTES // size)) as files:
        for name, send in (("PUT", sender.by_put), ("form", sender.by_form)):
            rows.append(
                await compare(
                    f"gateway upload by {name}, files of {size / MB:g} MB",
                    lambda send=send: sender.turn(send, files),
                    "straight into S3",
                    lambda: sender.turn(sender.straight, files),
                    unit="MB/s",
                    repeats=repeats,
                    goal=GOAL,
                )
            )
    return rows


def memory(sender: Sender, system: System, folder: Path, sizes: tuple[int, int], repeats: int) -> list[Figure]:
    """The most that the gateway holds while small files and while large ones come in, MiB."""
    most: tuple[list[float], list[float]] = ([], [])
    for size, kept in zip(sizes, most, strict=True):
        with _files(folder, size, sizes[1] // size) as files:
            for _ in range(repeats):
                with _watched(system) as peak:
                    sender.turn(sender.by_put, files)
                kept.append(peak[0] / 2**20)
    more = [large - small for small, large in zip(*most, strict=True)]
    return [
        Figure.of(f"gateway memory, files of {sizes[0] / MB:g} MB", "MiB", most[0]),
        Figure.of(f"gateway memory, files of {sizes[1] / MB:g} MB", "MiB", most[1]),
        Figure.of("gateway memory, large files more than small", "MiB", more, goal=MEMORY_GOAL),
    ]


@contextmanager
def _watched(system: System) -> Iterator[list[int]]:
    """The gateway's largest resident memory meanwhile, looked at every 10 ms."""
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            peak[0] = max(peak[0], system.processes["gateway"].memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield peak
    finally:
        over.set()
        watching.join()


@contextmanager
def _files(folder: Path, size: int, count: int) -> Iterator[list[Path]]:
    """Files of this size; what is in them does not shrink."""
    paths = [folder / f"{size}-{number}.jpg" for number in range(count)]
    content = os.urandom(min(size, 8 * MB))
    for path in paths:
        with path.open("wb") as file:
            for at in range(0, size, len(content)):
                file.write(content[: size - at])
    try:
        yield paths
    finally:
        for path in paths:
            path.unlink()


def _renewed(path: Path) -> Path:
    """The same file, never seen before."""
    with path.open("r+b") as file:
        file.write(os.urandom(16))
    return path


async def main(sizes: list[int], at_once: int, repeats: int, *, quick: bool) -> None:
    """Start the gateway, then measure."""
    with gateway_alone() as system, TemporaryDirectory(prefix="varanger-bench-") as folder:
        catalog = open_catalog(system.catalog_url)
        key = await create_key(catalog, scopes=[Scope.ADMIN])
        await catalog.close()
        with VarangerClient(system.url, key) as client:
            client.create_project(PROJECT)
            client.put_deployment(PROJECT, DEPLOYMENT, location_id="L1")
        sender = Sender(system, key, at_once)
        rows: list[Comparison | Figure] = []
        rows += memory(sender, system, Path(folder), (MB, 8 * MB if quick else 512 * MB), repeats)
        for size in sizes:
            rows += await speed(sender, Path(folder), size, repeats)
    report(*rows)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=[5, 100], help="MB of a file")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args()
    if chosen.quick:
        TURN_BYTES = 4 * MB
        chosen.sizes, chosen.repeats = [1], 1
    asyncio.run(main([int(size * MB) for size in chosen.sizes], chosen.at_once, chosen.repeats, quick=chosen.quick))
