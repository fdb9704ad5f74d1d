"""The records a drawn season is described by: what lies where, and what it truly shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from varanger.fieldsim.plan import FaultKind, SeasonPlan

CaptureMethod = Literal["activityDetection", "timeLapse"]
Expected = Literal["media", "duplicate", "quarantined"]


@dataclass(frozen=True)
class TrueBox:
    """The tight box around the visible pixels of one animal, person or vehicle; all numbers in 0–1."""

    taxon: str
    x_min: float
    y_min: float
    width: float
    height: float


@dataclass(frozen=True)
class SimulatedDeployment:
    """One camera at one location for one period; start and end are naive camera-local times."""

    deployment_id: str
    location_id: str
    camera_id: str
    camera_model: str
    camera_setup: str
    time_zone: str
    start: datetime
    end: datetime
    folder: str


@dataclass(frozen=True)
class SimulatedMedia:
    """One ordinary image and its truth.

    Attributes:
        path: Relative to the season's folder, with forward slashes.
        deployment_id: The deployment it belongs to.
        captured_at: The camera's own naive time, to the millisecond, as EXIF has it.
        event: The trigger burst (or the single time-lapse image) it belongs to; unique in the season.
        capture_method: What made the camera take it.
        night: Whether it was taken by infrared flash.
        observations: Taxon and count of what is visible, sorted by taxon; empty for a blank.
        boxes: One tight box for each visible animal, person or vehicle.
        expected: What a correct intake makes of the file.
    """

    path: str
    deployment_id: str
    captured_at: datetime
    event: str
    capture_method: CaptureMethod
    night: bool
    observations: tuple[tuple[str, int], ...]
    boxes: tuple[TrueBox, ...]
    expected: Expected = "media"


@dataclass(frozen=True)
class SimulatedFault:
    """One odd file; `kind` names what is wrong with it, `expected` what a correct intake makes of it."""

    path: str
    deployment_id: str
    kind: FaultKind
    expected: Expected


@dataclass(frozen=True)
class Season:
    """A drawn season: the folder, the plan it follows from, and the truth."""

    folder: Path
    plan: SeasonPlan
    deployments: tuple[SimulatedDeployment, ...]
    media: tuple[SimulatedMedia, ...]
    faults: tuple[SimulatedFault, ...]
