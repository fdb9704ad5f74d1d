"""Draws a walking person and a vehicle: what makes an image private."""

from __future__ import annotations

from typing import Final

import numpy as np
from varanger.fieldsim.drawing.brush import Brush, Paint

PERSON_REACH: Final = (-0.5, 0.5, -0.05, 1.1)
VEHICLE_REACH: Final = (-1.1, 1.1, -0.05, 1.0)
PERSON_SIZE: Final = 0.78
VEHICLE_SIZE: Final = 0.5
"""Height of a person and half length of a vehicle as shares of the image height, at the bottom edge."""


def draw_person(brush: Brush, stride: float, random: np.random.Generator) -> None:
    """An upright walker of height 1; clothes follow from `random`, the step from `stride` in radians."""
    jacket, trousers, hat = (_cloth(random) for _ in range(3))
    skin = (202, 158, 128)
    swing = 0.16 * float(np.sin(stride))
    for side in (-1, 1):
        foot = (side * swing, 0.02)
        brush.limb([(0, 0.5), (side * swing * 0.7 + 0.02, 0.26), foot], [0.13, 0.1, 0.07], trousers)
        brush.limb([foot, (foot[0] + 0.07, 0.02)], [0.05, 0.04], (40, 36, 34))
    brush.limb([(0, 0.8), (-swing * 0.9, 0.62), (-swing * 1.1 + 0.03, 0.5)], [0.08, 0.07, 0.05], jacket)
    brush.smooth(
        [(-0.1, 0.48), (-0.12, 0.68), (-0.1, 0.83), (0, 0.86), (0.09, 0.83), (0.11, 0.66), (0.09, 0.48)],
        jacket,
    )
    if random.random() < 0.5:
        brush.blob((-0.14, 0.68), 0.08, 0.14, _cloth(random))
    brush.limb([(0, 0.8), (swing * 0.9, 0.62), (swing * 1.1 + 0.03, 0.5)], [0.08, 0.07, 0.05], jacket)
    brush.blob((0.01, 0.92), 0.055, 0.07, skin)
    brush.smooth([(-0.06, 0.93), (-0.05, 1.0), (0.02, 1.01), (0.06, 0.97), (0.1, 0.95)], hat)


def draw_vehicle(brush: Brush, random: np.random.Generator) -> None:
    """An off-road car of half length 1, its colour following from `random`."""
    paint, glass, rubber = _cloth(random), (150, 172, 182), (30, 30, 32)
    dark: Paint = (paint[0] * 2 // 3, paint[1] * 2 // 3, paint[2] * 2 // 3)
    brush.shape([(-0.98, 0.24), (0.98, 0.24), (1.0, 0.48), (0.6, 0.54), (-0.98, 0.56)], paint)
    brush.shape([(-0.94, 0.55), (-0.88, 0.9), (0.3, 0.9), (0.58, 0.54)], dark)
    brush.shape([(-0.84, 0.58), (-0.8, 0.84), (-0.3, 0.84), (-0.3, 0.58)], glass)
    brush.shape([(-0.22, 0.58), (-0.22, 0.84), (0.24, 0.84), (0.44, 0.58)], glass)
    brush.shape([(-1.0, 0.22), (1.0, 0.22), (1.0, 0.29), (-1.0, 0.29)], (52, 52, 52))
    brush.blob((0.95, 0.42), 0.04, 0.05, (244, 240, 214))
    for x in (-0.6, 0.62):
        brush.blob((x, 0.18), 0.2, 0.18, rubber)
        brush.blob((x, 0.18), 0.1, 0.09, (140, 140, 142))


def _cloth(random: np.random.Generator) -> Paint:
    red, green, blue = random.integers(30, 220, 3).tolist()
    return red, green, blue
