"""Smooth random fields, the stuff that hills, grass, fur and moving light are made of."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]


def smooth_noise(random: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> Field:
    """One octave: a grid of random numbers drawn large.

    Args:
        random: Source of the grid.
        size: Width and height in pixels.
        cells: Grid columns and rows; more means finer.

    Returns:
        float32 [height, width], about 0 to 1.
    """
    columns, rows = max(2, cells[0]), max(2, cells[1])
    grid = random.random((rows, columns), dtype=np.float32)
    return np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC), dtype=np.float32)


def fractal_noise(
    random: np.random.Generator, size: tuple[int, int], cells: tuple[int, int], octaves: int = 4
) -> Field:
    """Octaves of halving strength and doubling fineness: float32 [height, width], mean about 0.5."""
    total = np.zeros((size[1], size[0]), np.float32)
    weight, weights = 1.0, 0.0
    for octave in range(octaves):
        fine = (min(size[0], cells[0] << octave), min(size[1], cells[1] << octave))
        total += np.float32(weight) * smooth_noise(random, size, fine)
        weights += weight
        weight *= 0.55
    return total / np.float32(weights)


def ridge(random: np.random.Generator, width: int, roughness: int) -> Field:
    """A jagged line over the width of an image: float32 [width], about 0 to 1."""
    return np.asarray(fractal_noise(random, (width, 2), (roughness, 2), octaves=5)[0])


def luminance(colours: Field) -> Field:
    """Grey values [height, width] of colours [height, width, 3], by the usual weights."""
    return np.asarray(
        colours[..., 0] * np.float32(0.3)
        + colours[..., 1] * np.float32(0.59)
        + colours[..., 2] * np.float32(0.11)
    )
