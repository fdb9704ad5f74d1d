"""`VarangerClient`: the gateway's calls. JSON objects are dictionaries, as docs/schemas/openapi.json has them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from varanger.client.errors import RequestRefused, UploadCorrupted
from varanger.client.models import Json, OnProgress, Verdict
from varanger.client.transport import send_until_answered
from varanger.client.uploading import batches, files_below, sha256_of


class VarangerClient:
    """A gateway and a key. Every call raises GatewayAway or RequestRefused.

    Args:
        url: of the gateway, as `http://127.0.0.1:8000`.
        key: as `varanger key create` showed it.
        timeout_s: for one request without its upload.
        tries: how often a request is tried while the gateway is away or busy.
        transport: for tests.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = 60.0,
        tries: int = 8,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=timeout_s, transport=transport
        )
        self._tries = tries

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
        """Send files. After a verdict `accepted` or `duplicate` the gateway has the bytes, on disk.

        A refused request (file too large, unknown deployment) is a `rejected` verdict for each of its files where it
        held one, and is tried file by file where it held several.

        Raises:
            UploadCorrupted: the gateway's sha256 is not the file's.
        """
        url = f"/v1/projects/{project}/deployments/{deployment}/media"
        verdicts: list[Verdict] = []
        for batch in batches(paths):
            verdicts += self._send(url, batch, below, lane)
            on_progress(len(verdicts), len(paths))
        return verdicts

    def _send(self, url: str, batch: list[Path], below: Path | None, lane: str) -> list[Verdict]:
        names = [path.relative_to(below).as_posix() if below else path.name for path in batch]

        def send() -> httpx.Response:
            with ExitStack() as stack:
                files = [
                    ("files", (name, stack.enter_context(path.open("rb")), "application/octet-stream"))
                    for name, path in zip(names, batch, strict=True)
                ]
                return self._http.post(url, params={"lane": lane}, files=files)

        digests = [sha256_of(path) for path in batch]
        try:
            results = send_until_answered(send, tries=self._tries).json()["results"]
        except RequestRefused as refused:
            if refused.status in {401, 403, 404}:
                raise
            if len(batch) > 1:
                return [verdict for path in batch for verdict in self._send(url, [path], below, lane)]
            return [Verdict(names[0], "rejected", None, digests[0], str(refused))]
        found = []
        for name, digest, result in zip(names, digests, results, strict=True):
            if result["sha256"] != digest:
                raise UploadCorrupted(f"{name}: the gateway has sha256 {result['sha256']}, the file has {digest}")
            found.append(Verdict(name, result["verdict"], result["media_id"], digest, result["reason"]))
        return found

    def media(self, project: str, **filters: str) -> Iterator[Json]:
        """Every media of a project that passes the filters, page by page."""
        yield from self._pages("/v1/media", {"project": project, **filters})

    def one_media(self, media_id: str) -> Json:
        """One media with its whole history."""
        return self._json("GET", f"/v1/media/{media_id}")

    def stats(self, project: str) -> Json:
        """Counts: received = media + duplicate + quarantined + failed + pending."""
        return self._json("GET", f"/v1/projects/{project}/stats")

    # Projects and deployments

    def create_project(self, project: str, title: str = "") -> Json:
        """Make a project; 409 where it exists."""
        return self._json("POST", "/v1/projects", {"project_id": project, "title": title})

    def put_deployment(self, project: str, deployment: str, **fields: Any) -> Json:
        """Make or replace a deployment; fields as in the OpenAPI document."""
        return self._json("PUT", f"/v1/projects/{project}/deployments/{deployment}", fields)

    # Quality check

    def request_round(self, project: str, design: Json) -> Json:
        """Ask for a QC round."""
        return self._json("POST", f"/v1/projects/{project}/qc/rounds", {"design": design})

    def round(self, round_id: str) -> Json:
        """One round, with its report so far."""
        return self._json("GET", f"/v1/qc/rounds/{round_id}")

    def tasks(self, round_id: str, **filters: str) -> Iterator[Json]:
        """The round's images to answer, in the order of review."""
        yield from self._pages(f"/v1/qc/rounds/{round_id}/tasks", dict(filters))

    def review(self, project: str, reviews: Sequence[Json]) -> list[Json]:
        """Record up to 1000 answers, all or none."""
        answer = self._json("POST", f"/v1/projects/{project}/reviews", {"reviews": list(reviews)})
        recorded: list[Json] = answer["reviews"]
        return recorded

    # Dataset

    def final_table(self, project: str, path: Path) -> None:
        """Write Böhner's final table as CSV."""
        url = f"/v1/projects/{project}/exports/final-table"
        response = send_until_answered(lambda: self._http.get(url), tries=self._tries)
        path.write_bytes(response.content)

    def _json(self, method: str, url: str, body: Json | None = None, params: Json | None = None) -> Json:
        response = send_until_answered(
            lambda: self._http.request(method, url, json=body, params=params), tries=self._tries
        )
        found: Json = response.json()
        return found

    def _pages(self, url: str, params: Json) -> Iterator[Json]:
        while True:
            page = self._json("GET", url, params=params)
            yield from page["items"]
            if page["next"] is None:
                return
            params = {**params, "cursor": page["next"]}
