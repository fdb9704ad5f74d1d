"""Content that is known, one file by its digest, and the steps of tus (https://tus.io/protocols/resumable-upload)."""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx

from varanger.client.call import Body, Call, answer, given, url
from varanger.client.errors import FileChanged, GatewayAway
from varanger.client.models.uploads import Checked, FileVerdict, TusUpload

MOST_DIGESTS = 1000
CHUNK_BYTES = 64 << 10
TUS = {"Tus-Resumable": "1.0.0"}

Through = Callable[[Iterator[bytes]], Iterator[bytes]]
"""What the bytes of a file pass on their way out, as a rate limit."""


def unchanged(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """They go as fast as the link does."""
    return chunks


def check(project: str, sha256: Iterable[str]) -> Call[Checked]:
    """Which of up to 1,000 contents the project has."""
    digests = list(sha256)
    if len(digests) > MOST_DIGESTS:
        raise ValueError(f"sha256: {len(digests)} digests; ask for {MOST_DIGESTS} at most at once")
    body = {"project": project, "sha256": digests}
    return Call("POST", url("v1", "uploads", "check"), answer(Checked), body=lambda: nullcontext({"json": body}))


def put_file(
    project: str,
    deployment: str,
    file: Path,
    *,
    sha256: str,
    name: str,
    lane: str = "live",
    through: Through = unchanged,
    once: bool = False,
) -> Call[FileVerdict]:
    """Send one file under its digest. The gateway verifies it while it streams, and keeps nothing of other bytes.

    Args:
        project: where it belongs.
        deployment: which camera's it is.
        file: where it lies.
        sha256: its digest; 422 where the bytes have another.
        name: its path as the gateway is to keep it.
        lane: `live` or `bulk`.
        through: what its bytes pass on their way.
        once: try once alone.
    """
    size = file.stat().st_size
    params = {"project": project, "deployment": deployment, "path": name, "lane": lane}
    path = url("v1", "uploads", "sha256", sha256)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    body = _part_of(file, 0, size, through)
    return Call("PUT", path, answer(FileVerdict), params, headers, body, once=once)


def tus_create(
    project: str, deployment: str, *, name: str, size: int, sha256: str | None = None, lane: str = "live"
) -> Call[TusUpload]:
    """Begin an upload in pieces."""
    metadata = {name: base64.b64encode(value.encode()).decode() for name, value in _metadata(name, sha256).items()}
    headers = TUS | {
        "Upload-Length": str(size),
        "Upload-Metadata": ",".join(f"{name} {value}" for name, value in metadata.items()),
    }
    params = {"project": project, "deployment": deployment, "lane": lane}
    return Call("POST", url("v1", "uploads", "tus"), _created, params, headers)


def _metadata(name: str, sha256: str | None) -> dict[str, str]:
    return given({"filename": name, "sha256": sha256})


def _created(response: httpx.Response) -> TusUpload:
    upload_id = httpx.URL(response.headers.get("location", "")).path.rstrip("/").rpartition("/")[2]
    if not upload_id:
        raise GatewayAway(f"{response.url} begins an upload and does not say where")
    return TusUpload(upload_id, 0)


def tus_state(upload_id: str) -> Call[TusUpload]:
    """How far an upload has come; 404 or 410 where it has expired."""
    return Call("HEAD", _tus(upload_id), lambda response: _state(upload_id, response), headers=TUS)


def tus_patch(upload_id: str, file: Path, *, offset: int, size: int, through: Through = unchanged) -> Call[TusUpload]:
    """Send `size` bytes from `offset` on; 409 where the gateway has come to another offset."""
    headers = TUS | {
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Content-Length": str(size),
    }
    body = _part_of(file, offset, size, through)
    return Call(
        "PATCH", _tus(upload_id), lambda response: _state(upload_id, response), headers=headers, body=body, once=True
    )


def tus_remove(upload_id: str) -> Call[None]:
    """Let an unfinished upload go."""
    return Call("DELETE", _tus(upload_id), lambda _: None, headers=TUS)


def _state(upload_id: str, response: httpx.Response) -> TusUpload:
    offset, found = response.headers.get("upload-offset", ""), _verdict(response.headers)
    if not offset.isdecimal():
        raise GatewayAway(f"{response.url} says no Upload-Offset; is this a Varanger gateway?")
    return TusUpload(upload_id, int(offset), found)


def _verdict(headers: Mapping[str, str]) -> FileVerdict | None:
    if "varanger-verdict" not in headers:
        return None
    return FileVerdict(
        "", headers["varanger-verdict"], headers.get("varanger-media-id"), headers.get("varanger-sha256")
    )


def _tus(upload_id: str) -> str:
    return url("v1", "uploads", "tus", upload_id)


def _part_of(file: Path, offset: int, size: int, through: Through) -> Body:
    """A stretch of a file as a body, read while it is sent."""

    @contextmanager
    def opened() -> Iterator[Mapping[str, Any]]:
        with file.open("rb") as source:
            source.seek(offset)

            def chunks() -> Iterator[bytes]:
                left = size
                while left:
                    chunk = source.read(min(CHUNK_BYTES, left))
                    if not chunk:
                        raise FileChanged(f"{file} is shorter than it was")
                    left -= len(chunk)
                    yield chunk

            yield {"content": through(chunks())}

    def body() -> AbstractContextManager[Mapping[str, Any]]:
        return opened()

    return body
