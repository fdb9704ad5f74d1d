"""Brings files to the gateway: one request for many, again while it is away, alone what it refuses in company."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from varanger.client.errors import GatewayAway, RequestRefused, UploadCorrupted
from varanger.client.models import Json, Verdict
from varanger.client.transport import Sleep, read_json, send_until_answered
from varanger.client.uploading import name_of, sha256_of

ABOUT_THE_FILES = frozenset({400, 413})
"""A form that cannot be read, or too many bytes. Any other refusal would meet every file in the same way."""


@dataclass
class FileSender:
    """Sends files of one deployment on one lane."""

    http: httpx.Client
    url: str
    lane: str
    below: Path | None
    tries: int
    sleep: Sleep

    def send(self, batch: Sequence[Path]) -> list[Verdict]:
        """One verdict per file, in order.

        A file that cannot be read here, or that the gateway refuses, is `rejected` and keeps no other back.

        Raises:
            GatewayAway: no answer.
            RequestRefused: a refusal that is about the request and not about a file: key, project, lane.
            UploadCorrupted: the gateway's sha256 is not the file's.
        """
        form = _Form([name_of(path, self.below) for path in batch], list(batch))
        try:
            response = send_until_answered(lambda: self._post(form), tries=self.tries, sleep=self.sleep)
        except RequestRefused as refused:
            if refused.status not in ABOUT_THE_FILES:
                raise
            return self._apart(batch, form, str(refused))
        except OSError as error:
            return self._apart(batch, form, f"it cannot be read here: {error.strerror or error}")
        return form.verdicts(_results(response, len(batch)))

    def _apart(self, batch: Sequence[Path], form: "_Form", reason: str) -> list[Verdict]:
        if len(batch) > 1:
            return [verdict for path in batch for verdict in self.send([path])]
        digest = form.digests[0] if form.digests else None
        return [Verdict(form.names[0], "rejected", None, digest, reason, form.repeated)]

    def _post(self, form: "_Form") -> httpx.Response:
        with ExitStack() as stack:
            files = [
                ("files", (name, stack.enter_context(path.open("rb")), "application/octet-stream"))
                for name, path in zip(form.names, form.paths, strict=True)
            ]
            form.hash_again()
            return self.http.post(self.url, params={"lane": self.lane}, files=files)


@dataclass
class _Form:
    """The files of one request, and what is known of them as of its last try."""

    names: list[str]
    paths: list[Path]
    digests: list[str] = field(default_factory=list)
    sent: int = 0

    def hash_again(self) -> None:
        """Before each try, for a file may still be written while the first fails."""
        self.digests = []
        self.digests = [sha256_of(path) for path in self.paths]
        self.sent += 1

    @property
    def repeated(self) -> bool:
        return self.sent > 1

    def verdicts(self, results: Sequence[Json]) -> list[Verdict]:
        found = []
        for name, digest, result in zip(self.names, self.digests, results, strict=True):
            verdict = str(result["verdict"])
            if verdict != "rejected" and result["sha256"] != digest:
                raise UploadCorrupted(f"{name}: the gateway has sha256 {result['sha256']}, the file has {digest}")
            reason = str(result["reason"] or "")
            found.append(Verdict(name, verdict, result["media_id"], digest, reason, self.repeated))
        return found


def _results(response: httpx.Response, count: int) -> list[Json]:
    body = read_json(response)
    results = body.get("results") if isinstance(body, dict) else None
    if not isinstance(results, list) or len(results) != count:
        raise GatewayAway(f"{response.url} answers for other files than were sent; is this a Varanger gateway?")
    return results
