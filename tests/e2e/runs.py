"""One project's way through a system: what is sent, when it has settled, and what stands in the catalog then."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from varanger.client import VarangerClient, Verdict
from varanger.fieldsim import Season, SimulatedDeployment, SimulatedFault, SimulatedMedia

SETTLED_WITHIN_S = 300.0
STATES = ("media", "duplicate", "quarantined", "failed", "pending")
COMPARED = ("sha256", "state", "name", "captured_at", "capture_method", "label", "route", "private", "observations")
TOLERANCE = 1e-3
"""Of confidences and of boxes: batches are put together differently in every run."""

FileKey = tuple[str, str]
"""Deployment, and the path that the client gave."""
Snapshot = dict[FileKey, dict[str, Any]]


@dataclass
class Run:
    """A project, and the outside view of it."""

    client: VarangerClient
    url: str
    key: str
    project: str
    logs: Callable[[], str]
    verdicts: list[Verdict] = field(default_factory=list)

    def add_deployment(self, one: SimulatedDeployment) -> None:
        """As a person would describe it."""
        self.client.put_deployment(
            self.project,
            one.deployment_id,
            location_id=one.location_id,
            camera_id=one.camera_id,
            camera_model=one.camera_model,
            camera_setup=one.camera_setup,
            time_zone=one.time_zone,
        )

    def upload_season(
        self,
        season: Season,
        deployments: Sequence[SimulatedDeployment],
        on_answer: Callable[[], None] = lambda: None,
    ) -> list[Verdict]:
        """Send the folders of these deployments; `on_answer` is called after each request."""
        found = []
        for one in deployments:
            self.add_deployment(one)
            found += self.client.upload_folder(
                self.project,
                one.deployment_id,
                season.folder / one.folder,
                on_progress=lambda _done, _total: on_answer(),
            )
        self.verdicts += found
        return found

    def get(self, path: str, **params: str) -> httpx.Response:
        """A request as any program would make it."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.get(f"{self.url}{path}", params=params, headers=headers, timeout=60.0)

    def stats(self) -> dict[str, Any]:
        """The counts, which must add up at every moment."""
        stats = asdict(self.client.stats(self.project))
        assert stats["received"] == sum(stats[state] for state in STATES), stats
        return stats

    def settle(self, within_s: float = SETTLED_WITHIN_S) -> dict[str, Any]:
        """Wait until nothing is pending; the counts then."""
        until = time.monotonic() + within_s
        while True:
            stats = self.stats()
            if stats["pending"] == 0:
                return stats
            assert time.monotonic() < until, f"still pending after {within_s:g} s: {stats}\n{self.logs()}"
            time.sleep(0.3)

    def whole(self) -> list[dict[str, Any]]:
        """Every file with its history, one request each, the oldest first."""
        return [asdict(self.client.one_media(one.media_id)) for one in self.client.media(self.project, order="oldest")]

    def snapshot(self, *, sent_again: bool = False) -> Snapshot:
        """The final catalog without ids and times, by deployment and path.

        Args:
            sent_again: the client may have sent a file twice, its first answer lost on the way; then the second is
                a duplicate of the first, and is left out.
        """
        found: Snapshot = {}
        for media in self.whole():
            key = (media["deployment"], media["original_path"])
            if sent_again and key in found and media["state"] == "duplicate":
                assert media["sha256"] == found[key]["sha256"], key
                continue
            assert key not in found, f"{key} is there twice"
            found[key] = {name: media[name] for name in COMPARED} | {
                "flags": sorted(media["flags"]),
                "faults": [fault["reason"] for fault in media["faults"]],
                "history": sorted(line["what"] for line in media["history"] if line["what"] != "offered_again"),
                "predictions": [
                    (one["release"], one["state"], sorted((one["answer"] or {}).get("models", {}).items()))
                    for one in media["predictions"]
                ],
                "confidence": media["confidence"],
                "boxes": [(box["stage"], box["label"]) for box in media["detections"]],
                "numbers": [[box["confidence"], *box["bbox"]] for box in media["detections"]],
            }
        return found


def only(snapshot: Snapshot, deployments: Iterable[SimulatedDeployment]) -> Snapshot:
    """The files of these deployments."""
    ids = {one.deployment_id for one in deployments}
    return {key: value for key, value in snapshot.items() if key[0] in ids}


def differences(expected: Snapshot, found: Snapshot) -> list[str]:
    """What is not the same, a line each; numbers within the tolerance are."""
    lines = [f"{key}: only in one of them" for key in sorted(expected.keys() ^ found.keys())]
    for key in sorted(expected.keys() & found.keys()):
        lines += [f"{key}: {line}" for line in _of_one(expected[key], found[key])]
    return lines


def _of_one(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{name}: {expected[name]!r} before, {found[name]!r} now"
        for name in expected
        if name not in ("confidence", "numbers") and expected[name] != found[name]
    ]
    before = [expected["confidence"] or 0.0, *(each for row in expected["numbers"] for each in row)]
    now = [found["confidence"] or 0.0, *(each for row in found["numbers"] for each in row)]
    if len(before) == len(now) and any(abs(one - other) > TOLERANCE for one, other in zip(before, now, strict=True)):
        lines.append(f"numbers: {before} before, {now} now")
    return lines


def expected_states(season: Season, deployments: Sequence[SimulatedDeployment]) -> dict[FileKey, str]:
    """What the simulated truth says becomes of each file."""
    folders = {one.deployment_id: Path(one.folder) for one in deployments}
    files: tuple[SimulatedMedia | SimulatedFault, ...] = (*season.media, *season.faults)
    return {
        (one.deployment_id, Path(one.path).relative_to(folders[one.deployment_id]).as_posix()): one.expected
        for one in files
        if one.deployment_id in folders
    }
