"""`VarangerClient`: the gateway's calls. JSON objects are dictionaries, as docs/schemas/openapi.json has them."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from varanger.client.errors import GatewayAway
from varanger.client.file_sender import FileSender
from varanger.client.models import Json, OnProgress, Verdict
from varanger.client.transport import Sleep, read_json, send_until_answered
from varanger.client.uploading import batches, files_below

THIS_MACHINE = ("all://127.0.0.1", "all://[::1]", "all://localhost")
"""No proxy stands in between here, whatever HTTP_PROXY says."""


class VarangerClient:
    """A gateway and a key. Every call raises GatewayAway or RequestRefused.

    Args:
        url: of the gateway, as `http://127.0.0.1:8000`.
        key: as `varanger key create` showed it.
        timeout_s: without a byte moving, for one request; an upload of any length may take as long as it moves.
        tries: how often a request is tried while the gateway is away or busy.
        transport: for tests.
        sleep: for tests; waits between tries, in seconds.

    Raises:
        ValueError: `url` is no http(s) address, or `tries` is below 1.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = 60.0,
        tries: int = 8,
        transport: httpx.BaseTransport | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url: {url!r} is no address of a gateway; write it as in http://127.0.0.1:8000")
        if tries < 1:
            raise ValueError(f"tries: {tries}; a request is tried at least once")
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key.strip()}"},
            timeout=timeout_s,
            transport=transport,
            mounts=dict.fromkeys(THIS_MACHINE),
        )
        self._tries = tries
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let connections go."""
        self._http.close()

    # Files

    def upload_folder(
        self,
        project: str,
        deployment: str,
        folder: Path,
        *,
        lane: str = "live",
        on_progress: OnProgress = lambda _done, _total: None,
    ) -> list[Verdict]:
        """Send every file below a folder; paths are kept relative to it."""
        return self.upload(project, deployment, files_below(folder), below=folder, lane=lane, on_progress=on_progress)

    def upload(
        self,
        project: str,
        deployment: str,
        paths: Sequence[Path],
        *,
        below: Path | None = None,
        lane: str = "live",
        on_progress: OnProgress = lambda _done, _total: None,
    ) -> list[Verdict]:
        """Send files; memory does not follow their size. One verdict each, in order.

        After `accepted` or `duplicate` the gateway has the bytes, on disk. A file that cannot be read here, or that
        the gateway refuses (too large), is `rejected` and keeps no other back. Sending again what was sent before does
        no harm: it answers `duplicate`, as does a file whose first answer was lost (`Verdict.repeated`).

        Raises:
            UploadCorrupted: the gateway's sha256 is not the file's.
        """
        url = _url("v1", "projects", project, "deployments", deployment, "media")
        sender = FileSender(self._http, url, lane, below, self._tries, self._sleep)
        verdicts: list[Verdict] = []
        for batch in batches(paths):
            verdicts += sender.send(batch)
            on_progress(len(verdicts), len(paths))
        return verdicts

    def media(self, project: str, **filters: str | float | bool) -> Iterator[Json]:
        """Every media of a project that passes the filters, page by page."""
        yield from self._pages(_url("v1", "media"), {"project": project, **filters})

    def one_media(self, media_id: str) -> Json:
        """One media with its whole history."""
        return self._json("GET", _url("v1", "media", media_id))

    def stats(self, project: str) -> Json:
        """Counts: received = media + duplicate + quarantined + failed + pending."""
        return self._json("GET", _url("v1", "projects", project, "stats"))

    # Projects and deployments

    def create_project(self, project: str, title: str = "") -> Json:
        """Make a project; 409 where it exists."""
        return self._json("POST", _url("v1", "projects"), {"project_id": project, "title": title})

    def put_deployment(self, project: str, deployment: str, **fields: Any) -> Json:
        """Make or replace a deployment; fields as in the OpenAPI document."""
        return self._json("PUT", _url("v1", "projects", project, "deployments", deployment), fields)

    # Quality check

    def request_round(self, project: str, design: Json) -> Json:
        """Ask for a QC round."""
        return self._json("POST", _url("v1", "projects", project, "qc", "rounds"), {"design": design})

    def round(self, round_id: str) -> Json:
        """One round, with its report so far."""
        return self._json("GET", _url("v1", "qc", "rounds", round_id))

    def tasks(self, round_id: str, **filters: str | float | bool) -> Iterator[Json]:
        """The round's images to answer, in the order of review."""
        yield from self._pages(_url("v1", "qc", "rounds", round_id, "tasks"), dict(filters))

    def review(self, project: str, reviews: Sequence[Json]) -> list[Json]:
        """Record up to 1000 answers, all or none."""
        answer = self._json("POST", _url("v1", "projects", project, "reviews"), {"reviews": list(reviews)})
        recorded: list[Json] = answer["reviews"]
        return recorded

    # Dataset

    def final_table(self, project: str, path: Path, *, names: str = "default") -> None:
        """Write Böhner's final table as CSV, its images named by a template. It appears whole or not at all."""
        self._fetch(_url("v1", "projects", project, "exports", "final-table"), path, {"names": names})

    def export_names(self, project: str, path: Path, *, template: str = "default") -> None:
        """Write every media's name under a template as CSV. It appears whole or not at all."""
        self._fetch(_url("v1", "projects", project, "exports", "names"), path, {"template": template})

    def original(self, media_id: str, path: Path, *, sha256: str | None = None) -> None:
        """Write a media's original file. It appears whole or not at all.

        Raises:
            GatewayAway: also where other bytes come than those of this sha256.
        """
        self._fetch(_url("v1", "media", media_id, "image"), path, {}, sha256)

    def _fetch(self, url: str, path: Path, params: Json, sha256: str | None = None) -> None:
        part = path.with_name(f"{path.name}.part")
        digest = hashlib.sha256()

        def fetch() -> httpx.Response:
            nonlocal digest
            digest = hashlib.sha256()
            with self._http.stream("GET", url, params=params) as response:
                if not response.is_success:
                    response.read()
                    return response
                with part.open("wb") as file:
                    for chunk in response.iter_bytes():
                        digest.update(chunk)
                        file.write(chunk)
                return response

        try:
            send_until_answered(fetch, tries=self._tries, sleep=self._sleep)
            if sha256 is not None and digest.hexdigest() != sha256:
                raise GatewayAway(f"{url}: what came is not the file, by its sha256; something in between changed it")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _json(self, method: str, url: str, body: Json | None = None, params: Json | None = None) -> Json:
        response = send_until_answered(
            lambda: self._http.request(method, url, json=body, params=params),
            tries=self._tries,
            repeatable=method != "POST",  # a second round, or a 409 for what the first try made
            sleep=self._sleep,
        )
        found: Json = read_json(response)
        return found

    def _pages(self, url: str, params: Json) -> Iterator[Json]:
        while True:
            page = self._json("GET", url, params=params)
            yield from page["items"]
            if page["next"] is None:
                return
            params = {**params, "cursor": page["next"]}


def _url(*parts: str) -> str:
    """A path, in which no name can become two parts of it."""
    return "/" + "/".join(quote(part, safe="") for part in parts)
