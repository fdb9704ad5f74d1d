"""One site's unchanging view: sky, hills, trees, ground, rocks, and the plants right before the lens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from varanger.fieldsim.drawing.noise import Field, fractal_noise, ridge, smooth_noise

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Biome:
    """What kind of place a site is: colours 0–255, and how much of each thing stands there."""

    ground: Colour
    ground_dark: Colour
    plants: Colour
    far: Colour
    trees: int
    rocks: int
    tufts: int
    horizon: tuple[float, float]


BIOMES: Final[tuple[Biome, ...]] = (
    Biome((120, 112, 78), (62, 66, 40), (92, 112, 52), (70, 90, 66), 16, 3, 260, (0.26, 0.36)),  # forest
    Biome((142, 146, 88), (92, 104, 52), (126, 150, 66), (92, 112, 92), 3, 2, 700, (0.22, 0.34)),  # meadow
    Biome((146, 138, 122), (92, 88, 76), (128, 122, 80), (112, 120, 128), 0, 16, 220, (0.2, 0.32)),  # fell
    Biome((158, 136, 98), (104, 88, 58), (116, 112, 64), (128, 116, 96), 6, 7, 380, (0.2, 0.32)),  # scrub
)


@dataclass(frozen=True)
class Site:
    """A drawn view.

    Attributes:
        background: float32 [height, width, 3], 0–255, in even light.
        horizon: Row where the ground begins.
        nearness: float32 [height], 0 at the horizon and above, 1 at the bottom row.
        cover: float32 [height, width], the nearness of the trunk or rock seen there, 0 where there is none.
        front: float32 [rows, width, 3], colour times alpha of the plants before the lens.
        front_alpha: float32 [rows, width, 1], 0–1.
        front_top: First row of `front` in the image.
    """

    background: Field
    horizon: int
    nearness: Field
    cover: Field
    front: Field
    front_alpha: Field
    front_top: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.background.shape[1], self.background.shape[0]


def draw_site(random: np.random.Generator, size: tuple[int, int]) -> Site:
    """Draws a new place; the same random state and size always give the same place."""
    width, height = size
    biome = BIOMES[int(random.integers(len(BIOMES)))]
    tint = np.asarray(random.normal(1.0, 0.07, 3), np.float32)
    horizon = int(height * random.uniform(*biome.horizon))
    nearness = np.clip((np.arange(height, dtype=np.float32) - horizon) / (height - horizon), 0, 1)

    view = np.empty((height, width, 3), np.float32)
    _paint_sky(view, random, horizon)
    _paint_far(view, random, horizon, biome)
    _paint_ground(view, random, horizon, biome)
    canvas = Image.fromarray(np.clip(view * tint, 0, 255).astype(np.uint8))
    standing = Image.new("L", size, 0)
    _lay_rocks(canvas, standing, random, horizon, biome)
    _stand_trees(canvas, standing, random, horizon, biome)
    _grow_tufts(ImageDraw.Draw(canvas), random, size, horizon, biome)
    background = np.asarray(canvas.filter(ImageFilter.GaussianBlur(height / 900)), np.float32)
    background = background * (0.85 + 0.3 * smooth_noise(random, size, (6, 5))[..., None])
    front, alpha, top = _front_plants(random, size, biome)
    cover = np.asarray(standing, np.float32) / np.float32(255)
    return Site(background.astype(np.float32), horizon, nearness.astype(np.float32), cover, front, alpha, top)


def _paint_sky(view: Field, random: np.random.Generator, horizon: int) -> None:
    rows = slice(0, horizon + 2)
    clouds = fractal_noise(random, (view.shape[1], horizon + 2), (4, 3))[..., None]
    blue, white = np.array([150, 180, 205], np.float32), np.array([225, 225, 222], np.float32)
    view[rows] = blue + (white - blue) * np.clip(clouds * 2 - 0.4, 0, 1)


def _paint_far(view: Field, random: np.random.Generator, horizon: int, biome: Biome) -> None:
    """Two hazy lines of hills or woods behind the ground."""
    height, width, _ = view.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    for haze, reach, rough in ((0.55, 0.75, 3), (0.15, 0.42, 14)):
        top = horizon * (1 - reach * ridge(random, width, rough))
        colour = np.array(biome.far, np.float32) * (1 - haze) + 190 * haze
        texture = 0.75 + 0.5 * fractal_noise(random, (width, height), (40, 40), 3)
        behind = (rows >= top) & (rows <= horizon + 2)
        view[behind] = (colour * texture[..., None])[behind]


def _paint_ground(view: Field, random: np.random.Generator, horizon: int, biome: Biome) -> None:
    """Ground whose texture grows coarser towards the camera."""
    height, width, _ = view.shape
    rows = height - horizon
    near = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    fine = fractal_noise(random, (width, rows), (90, 90), 3)
    coarse = fractal_noise(random, (width, rows), (16, 12), 5)
    mix = np.clip((fine * (1 - near) + coarse * near - 0.5) * 1.9 + 0.5, 0, 1)[..., None]
    light, dark = np.array(biome.ground, np.float32), np.array(biome.ground_dark, np.float32)
    view[horizon:] = dark + (light - dark) * mix


def _stand_trees(
    canvas: Image.Image, standing: Image.Image, random: np.random.Generator, horizon: int, biome: Biome
) -> None:
    """Trunks with some crown, the farthest first, never so near that they hide the scene."""
    width, height = canvas.size
    draw, cover = ImageDraw.Draw(canvas), ImageDraw.Draw(standing)
    for depth in sorted(random.beta(1.0, 3.0, biome.trees) * 0.5):
        foot = horizon + depth * (height - horizon)
        thick = width * (0.008 + 0.06 * depth)
        x, lean = random.uniform(0, width), random.normal(0, 0.04)
        bark = _jitter(random, (78, 66, 54), 12, 1.0 + 0.5 * (0.5 - depth))
        top = (x + lean * foot, -5.0)
        trunk = [(x - thick, foot), (x + thick, foot), (top[0] + thick * 0.6, -5), (top[0] - thick * 0.6, -5)]
        draw.polygon(trunk, bark)
        cover.polygon(trunk, int(255 * depth))
        for _ in range(int(7 + 14 * depth)):  # streaks of bark
            streak = x + random.uniform(-0.8, 0.8) * thick
            start = random.uniform(0, foot)
            draw.line(
                [(streak, start), (streak + lean * 30, start + foot * 0.2)], _jitter(random, bark, 16), 1
            )
        for _ in range(26):
            radius = width * random.uniform(0.008, 0.03) * (0.6 + depth)
            cx, cy = top[0] + random.normal(0, width * 0.045), random.uniform(-0.1, 0.45) * foot
            draw.ellipse(
                [cx - radius, cy - radius * 0.6, cx + radius, cy + radius * 0.6],
                _jitter(random, biome.far, 18),
            )


def _lay_rocks(
    canvas: Image.Image, standing: Image.Image, random: np.random.Generator, horizon: int, biome: Biome
) -> None:
    """Boulders and stumps: lumps the size of animals, lit from above, that are none."""
    width, height = canvas.size
    draw, cover = ImageDraw.Draw(canvas), ImageDraw.Draw(standing)
    for depth in sorted(random.uniform(0.03, 0.95, biome.rocks)):
        x, foot = random.uniform(0, width), horizon + depth * (height - horizon)
        half = width * random.uniform(0.02, 0.07) * (0.25 + depth)
        tall = half * random.uniform(0.6, 1.2)
        angles = np.linspace(0, np.pi, 9)
        radii = random.uniform(0.8, 1.1, 9)
        grey = _jitter(random, (132, 126, 116), 16)
        for shade, inner in ((0.55, 1.0), (0.8, 0.86), (1.05, 0.62)):
            outline = [
                (x + half * inner * r * np.cos(a), foot - tall * (r * np.sin(a) * inner + (1 - inner) * 0.5))
                for a, r in zip(angles, radii, strict=True)
            ]
            draw.polygon(outline, tuple(min(255, int(value * shade)) for value in grey))
            cover.polygon(outline, int(255 * min(1.0, depth)))


def _grow_tufts(
    draw: ImageDraw.ImageDraw, random: np.random.Generator, size: tuple[int, int], horizon: int, biome: Biome
) -> None:
    width, height = size
    for depth in sorted(random.uniform(0, 1.05, biome.tufts)):
        x, foot = random.uniform(0, width), horizon + depth * (height - horizon)
        length = height * (0.008 + 0.045 * depth)
        _blades(draw, random, (x, foot), length=length, count=5, colour=biome.plants, thick=1)


def _blades(
    draw: ImageDraw.ImageDraw,
    random: np.random.Generator,
    root: tuple[float, float],
    *,
    length: float,
    count: int,
    colour: Colour,
    thick: int,
) -> None:
    """A tuft of `count` stems from one root, about `length` pixels long."""
    x, foot = root
    for lean, reach in zip(random.normal(0, 0.4, count), random.uniform(0.5, 1.2, count), strict=True):
        start = x + lean * length * 0.4
        tip = (start + lean * length, foot - reach * length)
        draw.line([(start, foot), tip], _jitter(random, colour, 22), thick)


def _front_plants(
    random: np.random.Generator, size: tuple[int, int], biome: Biome
) -> tuple[Field, Field, int]:
    """Grass and stems just before the lens: premultiplied colour, alpha, first row."""
    width, height = size
    top = int(height * 0.66)
    layer = Image.new("RGBA", (width, height - top), (*(int(v) for v in biome.plants), 0))
    draw = ImageDraw.Draw(layer)
    clumps = random.uniform(0, width, int(random.integers(4, 10)))
    for x in clumps:
        reach = height * random.uniform(0.06, 0.2)
        stems = int(random.integers(10, 30))
        root = (x, height - top + 4.0)
        _blades(draw, random, root, length=reach, count=stems, colour=biome.plants, thick=width // 240)
    layer = layer.filter(ImageFilter.GaussianBlur(width / 800))
    pixels = np.asarray(layer, np.float32)
    alpha = pixels[..., 3:] / np.float32(255)
    return pixels[..., :3] * alpha, alpha, top


def _jitter(
    random: np.random.Generator, colour: Colour | tuple[int, ...], spread: float, scale: float = 1.0
) -> tuple[int, int, int]:
    """A colour a little lighter or darker, a little off in hue."""
    shift = random.normal(0, spread)
    values = [
        min(255, max(0, int(v * scale + shift + s)))
        for v, s in zip(colour, random.normal(0, 4, 3), strict=True)
    ]
    return values[0], values[1], values[2]
