"""Brings files to the gateway in forms: one request for many, and alone what it refuses in company."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from varanger.client.call import Call, Flow, ask, read_json, url, work
from varanger.client.errors import GatewayAway, RequestRefused, UploadCorrupted
from varanger.client.models.uploads import FileVerdict, OnProgress, Verdict
from varanger.client.reading import Unreadable, read
from varanger.client.uploads.files import batches, files_below, name_of, sha256_of

ABOUT_THE_FILES = frozenset({400, 413})
"""A form that cannot be read, or too many bytes. Any other refusal would meet every file in the same way."""


def upload_folder(
    project: str,
    deployment: str,
    folder: Path,
    *,
    lane: str = "live",
    on_progress: OnProgress = lambda _done, _total: None,
) -> Flow[list[Verdict]]:
    """Send every file below a folder; paths are kept relative to it."""
    paths = yield from work(lambda: files_below(folder))
    return (yield from upload(project, deployment, paths, below=folder, lane=lane, on_progress=on_progress))


def upload(
    project: str,
    deployment: str,
    paths: Sequence[Path],
    *,
    below: Path | None = None,
    lane: str = "live",
    on_progress: OnProgress = lambda _done, _total: None,
) -> Flow[list[Verdict]]:
    """Send files; memory does not follow their size. One verdict each, in order.

    After `accepted` or `duplicate` the gateway has the bytes, on disk. A file that cannot be read here, or that
    the gateway refuses (too large), is `rejected` and keeps no other back. Sending again what was sent before does
    no harm: it answers `duplicate`, as does a file whose first answer was lost (`Verdict.repeated`).

    Raises:
        UploadCorrupted: the gateway's sha256 is not the file's.
    """
    address = url("v1", "projects", project, "deployments", deployment, "media")
    verdicts: list[Verdict] = []
    for batch in batches(paths):
        verdicts += yield from _send(address, lane, below, batch)
        on_progress(len(verdicts), len(paths))
    return verdicts


def _send(address: str, lane: str, below: Path | None, batch: Sequence[Path]) -> Flow[list[Verdict]]:
    form = _Form([name_of(path, below) for path in batch], list(batch))
    try:
        results = yield from ask(Call("POST", address, _results(len(batch)), {"lane": lane}, body=form.opened))
    except RequestRefused as refused:
        if refused.status not in ABOUT_THE_FILES:
            raise
        reason = str(refused)
    except OSError as error:
        reason = f"it cannot be read here: {error.strerror or error}"
    else:
        return form.verdicts(results)
    if len(batch) > 1:
        verdicts: list[Verdict] = []
        for path in batch:
            verdicts += yield from _send(address, lane, below, [path])
        return verdicts
    digest = form.digests[0] if form.digests else None
    return [Verdict(form.names[0], "rejected", None, digest, reason, form.repeated)]


@dataclass
class _Form:
    """The files of one request, and what is known of them as of its last try."""

    names: list[str]
    paths: list[Path]
    digests: list[str] = field(default_factory=list)
    sent: int = 0

    @contextmanager
    def opened(self) -> Iterator[Mapping[str, Any]]:
        """Hashed before each try, for a file may still be written while the first fails."""
        with ExitStack() as stack:
            files = [
                ("files", (name, stack.enter_context(path.open("rb")), "application/octet-stream"))
                for name, path in zip(self.names, self.paths, strict=True)
            ]
            self.digests = []
            self.digests = [sha256_of(path) for path in self.paths]
            self.sent += 1
            yield {"files": files}

    @property
    def repeated(self) -> bool:
        return self.sent > 1

    def verdicts(self, results: Sequence[FileVerdict]) -> list[Verdict]:
        found = []
        for name, digest, one in zip(self.names, self.digests, results, strict=True):
            if one.verdict != "rejected" and one.sha256 != digest:
                raise UploadCorrupted(f"{name}: the gateway has sha256 {one.sha256}, the file has {digest}")
            found.append(Verdict(name, one.verdict, one.media_id, digest, one.reason, self.repeated))
        return found


def _results(count: int) -> Callable[[httpx.Response], list[FileVerdict]]:
    def read_results(response: httpx.Response) -> list[FileVerdict]:
        body = read_json(response)
        results = body.get("results") if isinstance(body, dict) else None
        if not isinstance(results, list) or len(results) != count:
            raise GatewayAway(f"{response.url} answers for other files than were sent; is this a Varanger gateway?")
        try:
            return [read(FileVerdict, each) for each in results]
        except Unreadable as error:
            raise GatewayAway(f"{response.url} answers no verdicts: {error}") from error

    return read_results
