"""Twelve-megapixel photos for benchmarks: few cards carry them, and no sample data here does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from varanger.fieldsim.drawing.light import grain_tile
from varanger.fieldsim.drawing.noise import Bytes
from varanger.fieldsim.drawing.site import draw_site
from varanger.fieldsim.files.photo import Shot, encode
from varanger.fieldsim.main import draw_event
from varanger.fieldsim.plan import DEFAULT_SETUPS, CameraSetup
from varanger.fieldsim.schedule import PlannedEvent
from varanger.fieldsim.species import SPECIES

TWELVE_MEGAPIXEL: Final = CameraSetup("large", "SIMOPTIC", "Fieldsim 12", (4000, 3000), 90, strip=False)
_DRAWN: Final = DEFAULT_SETUPS[1].size
_SITES: Final = 4


def twelve_megapixel(
    folder: Path, count: int = 1, *, seed: int = 1, size: tuple[int, int] = TWELVE_MEGAPIXEL.size
) -> tuple[Path, ...]:
    """Writes `IMG_0001.JPG` and so on: scenes drawn small, enlarged, with sensor noise at full size.

    The noise gives them the bytes and the decoding cost of a real photo of that size; every third is at night
    and every second shows an animal. All bytes differ.

    Args:
        folder: Made if it is not there.
        count: Number of files.
        seed: The same seed writes the same bytes.
        size: Width and height in pixels.

    Returns:
        The paths in order.

    Raises:
        ValueError: If `count` is negative.
    """
    if count < 0:
        raise ValueError(f"cannot draw {count} photos")
    folder.mkdir(parents=True, exist_ok=True)
    sites = [draw_site(np.random.default_rng((seed, number)), _DRAWN) for number in range(min(count, _SITES))]
    setup = replace(TWELVE_MEGAPIXEL, size=size)
    paths = []
    for number in range(count):
        random = np.random.default_rng((seed, _SITES, number))
        hour = 23 if number % 3 == 2 else 10
        begins = datetime(2025, 6, 1, hour) + timedelta(minutes=number)
        actors = (SPECIES[number // 2 % len(SPECIES)].name,) if number % 2 else ()
        event = PlannedEvent(number % _SITES, number, "activityDetection", actors, (bool(actors),), begins)
        frame = next(draw_event(event, sites[number % _SITES], 0, random))
        shot = Shot(setup, f"FS{seed % 1000:03d}99999", begins, event.method, 1, 1)
        path = folder / f"IMG_{number + 1:04d}.JPG"
        path.write_bytes(encode(_enlarge(frame.pixels, size, random), shot))
        paths.append(path)
    return tuple(paths)


def _enlarge(pixels: Bytes, size: tuple[int, int], random: np.random.Generator) -> Bytes:
    """Pixels [h, w, 3] or [h, w] at another size, with noise of a few grey levels, in integers for speed."""
    large = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR), np.int16)
    tile = np.rint(grain_tile() * random.uniform(3.0, 6.0)).astype(np.int16)
    tile = np.roll(tile, (int(random.integers(tile.shape[0])), int(random.integers(tile.shape[1]))), (0, 1))
    repeats = (-(-size[1] // tile.shape[0]), -(-size[0] // tile.shape[1]))
    noise = np.tile(tile, repeats)[: size[1], : size[0]]
    noisy = large + (noise if large.ndim == 2 else noise[..., None])
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)
