"""The words an animal's look is described in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Paint = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """Proportions and coat of a four-legged animal.

    Attributes:
        size: Body length as a share of the image height, when it stands at the bottom edge.
        nearest: Least nearness (0 horizon, 1 bottom edge) it is drawn at, so that it stays recognisable.
        leg: Leg length from ground to belly.
        hip, middle, shoulder: Half thickness of the trunk at three places.
        neck, neck_width, neck_angle: Length, width and angle (radians above level) of the neck.
        head, snout: Radius of the skull, length of the snout from its centre.
        snout_width: Thickness of the muzzle.
        ear, ear_width: Length and width of an ear.
        tail, tail_width, tail_angle: Length, width and angle (radians above level, backwards) of the tail.
        leg_width: Thickness of a lower leg.
        coat, back, belly: Colours of flank, back and belly.
        legs, socks: Colours of upper and lower legs.
        muzzle: Colour of the end of the snout.
        tail_tip: Colour of the last third of the tail.
        ear_tip: Colour of the last third of the ears.
        rump: Colour of a patch on the rump, None for none.
        spots: Number of pale or dark spots.
        spot: Their colour.
        antlers: What an adult male carries.
        variety: How much individuals differ in colour.
    """

    size: float
    nearest: float
    leg: float
    hip: float
    middle: float
    shoulder: float
    neck: float
    neck_width: float
    neck_angle: float
    head: float
    snout: float
    snout_width: float
    ear: float
    ear_width: float
    tail: float
    tail_width: float
    tail_angle: float
    leg_width: float
    coat: Paint
    back: Paint
    belly: Paint
    legs: Paint
    socks: Paint
    muzzle: Paint
    tail_tip: Paint
    ear_tip: Paint
    rump: Paint | None = None
    spots: int = 0
    spot: Paint = (235, 225, 205)
    antlers: Literal["none", "pointed", "shovel", "tusks"] = "none"
    variety: float = 9.0
