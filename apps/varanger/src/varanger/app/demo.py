"""`varanger demo`: the whole workflow once, in one process, over the same HTTP a field gateway uses."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Scope
from varanger.app.demo_report import print_report
from varanger.app.embedded import Embedded, embedded_settings, running
from varanger.app.release_source import find_bundle, publish_release
from varanger.client import RequestRefused, Round, Stats, VarangerClient, Verdict
from varanger.fieldsim import SeasonPlan, draw_season

FAULTS = {
    "truncated_jpeg": 2,
    "text_named_jpg": 1,
    "empty_file": 1,
    "bomb_jpeg": 1,
    "png_named_jpg": 1,
    "no_date": 1,
    "duplicate": 3,
}
PORT = 0
"""Any free one: the demo may run beside `varanger up`."""
GIVE_UP_AFTER_S = 900.0
REVIEWS_AT_ONCE = 500


@dataclass(frozen=True)
class Camera:
    """One deployment and its folder."""

    deployment_id: str
    folder: Path
    fields: dict[str, Any]


@dataclass
class Source:
    """What goes in, and what is known of it."""

    cameras: list[Camera]
    truth: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    """(deployment, path below its folder) -> observations; empty for one's own images."""


async def run_demo(console: Console, data: Path, *, images: Path | None, number: int, seed: int) -> None:
    """Run it and print what happened.

    Raises:
        AlreadyRunning: `varanger up` works on this data folder.
        ValueError: the folder of images is not there or empty.
    """
    begun = time.monotonic()
    with _bars(console) as bars:
        source = _own_images(images) if images else await _simulated(bars, data, number, seed)
        async with running(embedded_settings(data, port=PORT), data) as embedded:
            project = await _new_project(embedded, "own-images" if images else "demo")
            await publish_release(embedded.catalog, embedded.objects, project, find_bundle("demo"), promote=True)
            key = await create_key(embedded.catalog, scopes=list(Scope), project_id=project, label="demo")
            with VarangerClient(embedded.url, key) as client:
                verdicts = await asyncio.to_thread(_upload, client, project, source, bars)
                stats = await _classified(client, project, bars)
                round_ = await _quality_check(client, project, source, verdicts, bars)
                table = data / "exports" / f"{project}_final_table.csv"
                table.parent.mkdir(parents=True, exist_ok=True)
                await asyncio.to_thread(client.final_table, project, table)
    print_report(console, project, stats, round_, table, simulated=not images, seconds=time.monotonic() - begun)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


async def _simulated(bars: Progress, data: Path, number: int, seed: int) -> Source:
    task = bars.add_task("draw a field season", total=number)
    plan = SeasonPlan(seed=seed, images=number, faults=FAULTS)
    folder = data / "seasons" / f"{seed}-{number}"
    season = await asyncio.to_thread(
        draw_season, plan, folder, progress=lambda done, total: bars.update(task, completed=done, total=total)
    )
    cameras = [
        Camera(
            one.deployment_id,
            folder / one.folder,
            {
                "location_id": one.location_id,
                "camera_id": one.camera_id,
                "camera_model": one.camera_model,
                "camera_setup": one.camera_setup,
                "time_zone": one.time_zone,
            },
        )
        for one in season.deployments
    ]
    folders = {one.deployment_id: Path(one.folder) for one in season.deployments}
    truth = {
        (one.deployment_id, Path(one.path).relative_to(folders[one.deployment_id]).as_posix()): [
            {"taxon": taxon, "count": count} for taxon, count in one.observations
        ]
        for one in season.media
    }
    return Source(cameras, truth)


def _own_images(folder: Path) -> Source:
    if not folder.is_dir():
        raise ValueError(f"--images {folder}: there is no such folder")
    if not any(path.is_file() for path in folder.rglob("*")):
        raise ValueError(f"--images {folder}: the folder is empty")
    return Source([Camera("own-images", folder, {"location_id": "own-images"})])


async def _new_project(embedded: Embedded, wanted: str) -> str:
    """A fresh project each time, so that the numbers of two demos do not mix."""
    key = await create_key(embedded.catalog, scopes=[Scope.ADMIN], label="demo")
    with VarangerClient(embedded.url, key) as client:
        name = wanted
        for number in range(2, 10_000):
            try:
                await asyncio.to_thread(client.create_project, name, "Demonstration")
            except RequestRefused as error:
                if error.status != 409:
                    raise
                name = f"{wanted}-{number}"
            else:
                return name
    raise ValueError(f"10000 projects are called {wanted}; remove the data folder")


def _upload(client: VarangerClient, project: str, source: Source, bars: Progress) -> dict[str, tuple[str, Verdict]]:
    """Send every camera's folder; media id -> (deployment, verdict) of what was accepted."""
    task = bars.add_task("upload", total=None)
    accepted: dict[str, tuple[str, Verdict]] = {}
    before = 0
    for camera in source.cameras:
        client.put_deployment(project, camera.deployment_id, **camera.fields)
        verdicts = client.upload_folder(
            project, camera.deployment_id, camera.folder, on_progress=_shifted(bars, task, before)
        )
        before += len(verdicts)
        accepted |= {
            one.media_id: (camera.deployment_id, one)
            for one in verdicts
            if one.media_id and (one.verdict == "accepted" or one.repeated)
        }
    bars.update(task, completed=before, total=before)
    return accepted


def _shifted(bars: Progress, task: Any, before: int) -> Callable[[int, int], None]:
    return lambda done, _total: bars.update(task, completed=before + done)


async def _classified(client: VarangerClient, project: str, bars: Progress) -> Stats:
    """Wait until nothing is pending; the final counts."""
    task = bars.add_task("ingest and classify", total=None)
    async with asyncio.timeout(GIVE_UP_AFTER_S):
        while True:
            stats = await asyncio.to_thread(client.stats, project)
            bars.update(task, completed=stats.received - stats.pending, total=stats.received)
            if stats.pending == 0:
                return stats
            await asyncio.sleep(0.3)


async def _quality_check(
    client: VarangerClient, project: str, source: Source, accepted: dict[str, tuple[str, Verdict]], bars: Progress
) -> Round:
    """Draw a round; answer it from the simulated truth, or leave it open for one's own images."""
    task = bars.add_task("quality check", total=None)
    design = {"seed": 1, "overall": 40, "per_class": 10, "per_bin": 0}
    round_id = (await asyncio.to_thread(client.request_round, project, design)).round_id
    drawn = await _round_until(client, round_id, lambda one: one.drawn_at is not None)
    if drawn.state == "failed" or not source.truth:
        bars.update(task, completed=0, total=drawn.counts.get("drawn", 0))
        return drawn
    tasks = await asyncio.to_thread(lambda: list(client.tasks(round_id)))
    reviews = [_answer(source, accepted, one.media_id, round_id) for one in tasks]
    for first in range(0, len(reviews), REVIEWS_AT_ONCE):
        await asyncio.to_thread(client.review, project, reviews[first : first + REVIEWS_AT_ONCE])
    bars.update(task, completed=len(reviews), total=len(reviews))
    return await _round_until(client, round_id, lambda one: bool(one.report and one.report["complete"]))


def _answer(source: Source, accepted: dict[str, tuple[str, Verdict]], media_id: str, round_id: str) -> dict[str, Any]:
    deployment, verdict = accepted[media_id]
    return {
        "media_id": media_id,
        "round_id": round_id,
        "observer": "simulated truth",
        "observations": source.truth.get((deployment, verdict.file), []),
    }


async def _round_until(client: VarangerClient, round_id: str, reached: Callable[[Round], bool]) -> Round:
    async with asyncio.timeout(GIVE_UP_AFTER_S):
        while True:
            found = await asyncio.to_thread(client.round, round_id)
            if reached(found) or found.state == "failed":
                return found
            await asyncio.sleep(0.2)
