"""Draws a whole season: plan the events, draw site by site, add the odd files, keep the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from varanger.fieldsim.drawing.figure import Actor, enter, step
from varanger.fieldsim.drawing.light import Light, day_light, flash_light
from varanger.fieldsim.drawing.scene import Frame, Scene
from varanger.fieldsim.drawing.site import Site, draw_site
from varanger.fieldsim.files.faults import EXPECTED, spoil, suffix
from varanger.fieldsim.files.photo import Shot, encode, strip_rows
from varanger.fieldsim.files.truth import TRUTH_JSON, read_season, write_season
from varanger.fieldsim.plan import FAULT_KINDS, CameraSetup, FaultKind, SeasonPlan
from varanger.fieldsim.schedule import PlannedEvent, plan_events, season_days
from varanger.fieldsim.season import Season, SimulatedDeployment, SimulatedFault, SimulatedMedia

Progress = Callable[[int, int], None]

# each use of chance has its own stream, so that more of one thing never changes another
_SITE, _EVENT, _FAULT = 1, 2, 3
_BURST_PAUSE: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class _Odd:
    """An odd file before it is written; `number` is its place in the season's list of faults."""

    kind: FaultKind
    number: int
    at: datetime


def draw_season(plan: SeasonPlan, folder: Path, *, progress: Progress | None = None) -> Season:
    """Draws a season into a folder: `<deployment>/IMG_0001.JPG` and so on, `truth.json`, `truth.csv`.

    Args:
        plan: What to draw.
        folder: Made if it is not there; must be empty or hold a drawing of the same plan.
        progress: Called with files written and files in all, after each file.

    Returns:
        The season with its truth.

    Raises:
        FileExistsError: If the folder holds anything else.
        OSError: If a file cannot be written.
    """
    _claim(folder, plan)
    events = plan_events(plan)
    odd = _plan_odd(plan, events)
    counter = _Counter(plan.images + sum(plan.faults.values()), progress)
    deployments = tuple(_deployment(plan, number, events) for number in range(plan.sites))
    media: list[SimulatedMedia] = []
    faults: list[SimulatedFault] = []
    for number, deployment in enumerate(deployments):
        ours = [event for event in events if event.site == number]
        camera = _Camera(plan, number, deployment, folder)
        items: list[PlannedEvent | _Odd] = [*ours, *odd[number]]
        for item in sorted(items, key=_moment):
            if isinstance(item, _Odd):
                faults.append(camera.take_odd(item))
                counter.add()
            else:
                for photo in camera.take(item):
                    media.append(photo)
                    counter.add()
    season = Season(folder, plan, deployments, tuple(media), tuple(faults))
    write_season(season)
    return season


class _Camera:
    """One deployment's camera: draws its site once, then writes files with rising numbers."""

    def __init__(self, plan: SeasonPlan, number: int, deployment: SimulatedDeployment, folder: Path) -> None:
        self._plan = plan
        self._deployment = deployment
        self._root = folder
        self._setup = _setup(plan, number)
        self._site = draw_site(np.random.default_rng((plan.seed, _SITE, number)), self._setup.size)
        self._files = 0
        self._last = b""
        (folder / deployment.folder).mkdir(parents=True, exist_ok=True)

    def take(self, event: PlannedEvent) -> Iterator[SimulatedMedia]:
        """Draws and writes the frames of one event."""
        random = np.random.default_rng((self._plan.seed, _EVENT, event.number))
        frames = draw_event(event, self._site, strip_rows(self._setup), random)
        for index, frame in enumerate(frames):
            at = event.begins + index * _BURST_PAUSE + timedelta(milliseconds=int(random.integers(1000)))
            shot = Shot(
                self._setup, self._deployment.camera_id, at, event.method, index + 1, len(event.shows)
            )
            self._last = encode(frame.pixels, shot)
            counts = Counter(box.taxon for box in frame.boxes)
            yield SimulatedMedia(
                path=self._write(".JPG", self._last),
                deployment_id=self._deployment.deployment_id,
                captured_at=at,
                event=f"{self._deployment.deployment_id}-{event.number:06d}",
                capture_method=event.method,
                night=event.night,
                observations=tuple(sorted(counts.items())),
                boxes=frame.boxes,
            )

    def take_odd(self, odd: _Odd) -> SimulatedFault:
        """Writes an odd file; a duplicate repeats the ordinary image written last."""
        random = np.random.default_rng((self._plan.seed, _FAULT, odd.number))
        if odd.kind == "duplicate":
            content = self._last
        else:
            blank = PlannedEvent(0, odd.number, "activityDetection", (), (False,), odd.at)
            frame = next(draw_event(blank, self._site, strip_rows(self._setup), random))
            at = None if odd.kind == "no_date" else odd.at
            shot = Shot(self._setup, self._deployment.camera_id, at, "activityDetection", 1, 1)
            content = encode(frame.pixels, shot)
        path = self._write(suffix(odd.kind), spoil(odd.kind, content))
        return SimulatedFault(path, self._deployment.deployment_id, odd.kind, EXPECTED[odd.kind])

    def _write(self, extension: str, content: bytes) -> str:
        self._files += 1
        path = f"{self._deployment.folder}/IMG_{self._files:04d}{extension}"
        (self._root / path).write_bytes(content)
        return path


def draw_event(event: PlannedEvent, site: Site, strip: int, random: np.random.Generator) -> Iterator[Frame]:
    """The frames of one event at a site whose bottom `strip` rows will be hidden."""
    scene = Scene(site, _light(event, site, random), strip)
    actors = [enter(taxon, random, night=event.night) for taxon in event.actors]
    middle = sum(event.shows) // 2
    for index, shown in enumerate(event.shows):
        present: list[Actor] = [step(actor, index - middle, random) for actor in actors] if shown else []
        # wind alone is what triggers a blank
        wind = site.size[0] / 90 if event.actors else site.size[0] / 30
        yield scene.frame(present, random, wind=wind)


def _light(event: PlannedEvent, site: Site, random: np.random.Generator) -> Light:
    if event.night:
        return flash_light(random, site)
    return day_light(random, site, event.begins.hour + event.begins.minute / 60)


def _setup(plan: SeasonPlan, number: int) -> CameraSetup:
    return plan.setups[number % len(plan.setups)]


def _deployment(plan: SeasonPlan, number: int, events: tuple[PlannedEvent, ...]) -> SimulatedDeployment:
    setup = _setup(plan, number)
    location = f"site_{number + 1:02d}"
    name = f"{location}-{plan.start:%Y-%m}"
    start = datetime.combine(plan.start, time())
    latest = max((event.begins for event in events if event.site == number), default=start)
    end = max(start + timedelta(days=season_days(plan)), latest + timedelta(days=1))
    serial = f"FS{plan.seed % 1000:03d}{number + 1:05d}"
    return SimulatedDeployment(
        name, location, serial, setup.model, setup.name, plan.time_zone, start, end, folder=name
    )


def _plan_odd(plan: SeasonPlan, events: tuple[PlannedEvent, ...]) -> dict[int, list[_Odd]]:
    """Odd files for each site, each soon after some event, so that a duplicate has a file to repeat."""
    random = np.random.default_rng((plan.seed, _FAULT))
    kinds = [kind for kind in FAULT_KINDS for _ in range(plan.faults.get(kind, 0))]
    odd: dict[int, list[_Odd]] = {number: [] for number in range(plan.sites)}
    for number, kind in enumerate(kinds):
        site, at = int(random.integers(plan.sites)), datetime.combine(plan.start, time(12))
        if events:
            event = events[int(random.integers(len(events)))]
            site, at = event.site, event.begins + timedelta(seconds=60, milliseconds=number)
        odd[site].append(_Odd(kind, number, at))
    return odd


def _moment(item: PlannedEvent | _Odd) -> datetime:
    return item.at if isinstance(item, _Odd) else item.begins


def _claim(folder: Path, plan: SeasonPlan) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        return
    if not (folder / TRUTH_JSON).exists() or read_season(folder).plan != plan:
        raise FileExistsError(f"{folder} is neither empty nor a drawing of this plan")


class _Counter:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def add(self) -> None:
        self._done += 1
        if self._progress:
            self._progress(self._done, self._total)
