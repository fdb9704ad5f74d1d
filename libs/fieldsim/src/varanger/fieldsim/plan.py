"""What a season should contain. The same plan always draws the same bytes (with the same Pillow)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from varanger.fieldsim.species import SPECIES

FaultKind = Literal[
    "truncated_jpeg",
    "png_named_jpg",
    "text_named_jpg",
    "empty_file",
    "bomb_jpeg",
    "bomb_png",
    "no_date",
    "duplicate",
]
FAULT_KINDS: Final[tuple[FaultKind, ...]] = (
    "truncated_jpeg",
    "png_named_jpg",
    "text_named_jpg",
    "empty_file",
    "bomb_jpeg",
    "bomb_png",
    "no_date",
    "duplicate",
)


@dataclass(frozen=True)
class CameraSetup:
    """A way cameras are built and mounted (the papers' "camera trap type").

    Attributes:
        name: Written to `SimulatedDeployment.camera_setup`.
        make: EXIF Make.
        model: EXIF Model.
        size: Image width and height in pixels.
        quality: JPEG quality, 1 to 95.
        strip: Whether the camera burns an information strip into the bottom of the image.
    """

    name: str
    make: str
    model: str
    size: tuple[int, int]
    quality: int
    strip: bool


DEFAULT_SETUPS: Final[tuple[CameraSetup, ...]] = (
    CameraSetup("original", "SIMOPTIC", "Fieldsim 4", (640, 480), 82, strip=True),
    CameraSetup("new", "SIMOPTIC", "Fieldsim 7 Pro", (800, 600), 85, strip=False),
)


@dataclass(frozen=True)
class SeasonPlan:
    """What to draw.

    Attributes:
        seed: Everything random follows from it.
        sites: Number of locations, one deployment each.
        images: Number of ordinary images; faults come on top of them.
        blank_share: Share of ordinary images that show nothing of interest.
        time_lapse_share: Share of ordinary images taken by the clock, mostly blank.
        burst_length: Least and most images of one trigger.
        faults: Number of odd files for each kind of `FAULT_KINDS`.
        people_share: Share of the non-blank triggered images that show a person or a vehicle.
        company_share: Chance that an animal event shows more animals than one.
        night_share: Share of triggered events at night.
        species_weights: Overrides `Species.commonness` by name, e.g. all 1.0 for a training season.
        start: First day of the season.
        days: Length of the season; a season too full for it becomes longer.
        time_zone: IANA name of the zone the cameras' clocks show.
        setups: Camera setups, given to the sites in turn.

    Raises:
        ValueError: A share outside 0–1, a count below zero, an unknown fault kind or species, or a burst
            length that is not an ordered pair of positive numbers.
    """

    seed: int = 1
    sites: int = 6
    images: int = 200
    blank_share: float = 0.7
    time_lapse_share: float = 0.1
    burst_length: tuple[int, int] = (1, 4)
    faults: Mapping[str, int] = field(default_factory=dict)
    people_share: float = 0.04
    company_share: float = 0.25
    night_share: float = 0.5
    species_weights: Mapping[str, float] = field(default_factory=dict)
    start: date = date(2025, 6, 1)
    days: int = 60
    time_zone: str = "Europe/Oslo"
    setups: tuple[CameraSetup, ...] = DEFAULT_SETUPS

    def __post_init__(self) -> None:
        shares = {
            "blank_share": self.blank_share,
            "time_lapse_share": self.time_lapse_share,
            "people_share": self.people_share,
            "company_share": self.company_share,
            "night_share": self.night_share,
        }
        for name, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} must lie between 0 and 1, not {share}")
        if self.seed < 0 or self.images < 0 or min(self.sites, self.days, len(self.setups)) < 1:
            raise ValueError("seed and images must not be negative; sites, days and setups at least one")
        shortest, longest = self.burst_length
        if not 1 <= shortest <= longest:
            raise ValueError(f"burst_length must be an ordered pair of positive numbers, not {self.burst_length}")
        self._check_faults()
        self._check_weights()

    def _check_faults(self) -> None:
        for kind, count in self.faults.items():
            if kind not in FAULT_KINDS:
                raise ValueError(f"unknown fault {kind!r}; known: {', '.join(FAULT_KINDS)}")
            if count < 0:
                raise ValueError(f"cannot draw {count} files of kind {kind}")
        if self.faults.get("duplicate", 0) and not self.images:
            raise ValueError("a duplicate needs an ordinary image to repeat")

    def _check_weights(self) -> None:
        known = {species.name for species in SPECIES}
        for name, weight in self.species_weights.items():
            if name not in known or weight < 0:
                raise ValueError(f"species_weights: {name!r}: {weight} is no known species or is negative")
