"""Draws shapes given in an animal's own coordinates onto a sprite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from varanger.fieldsim.drawing.noise import Bytes

Point = tuple[float, float]
Paint = tuple[int, int, int]

OVERSAMPLING = 2
_MARGIN = 4


@dataclass(frozen=True)
class Stance:
    """How an animal stands before the camera.

    Attributes:
        unit: Pixels of one body length.
        turn: Width factor of the body seen from the side: 1 broadside, 0.5 half away.
        faces_left: Whether it is mirrored.
        tilt: Rotation in radians, counter-clockwise.
    """

    unit: float
    turn: float
    faces_left: bool
    tilt: float


class Brush:
    """A transparent sheet in animal coordinates: x towards the head, y up from the ground, body lengths."""

    def __init__(self, stance: Stance, reach: tuple[float, float, float, float]) -> None:
        """`reach` is the least x, most x, least y and most y that may be drawn on."""
        self._unit = stance.unit * OVERSAMPLING
        self._x = self._unit * stance.turn * (-1 if stance.faces_left else 1)
        self._cos, self._sin = float(np.cos(stance.tilt)), float(np.sin(stance.tilt))
        left, right, low, high = reach
        lean = abs(stance.tilt) * max(right, -left, high) * self._unit + _MARGIN
        half = max(right, -left) * abs(self._x) + lean
        above, below = high * self._unit + lean, -low * self._unit + lean
        self._origin = (half, above)
        self._sheet = Image.new("RGBA", (int(2 * half), int(above + below)), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._sheet)

    def shape(self, points: Sequence[Point], paint: Paint) -> None:
        """A filled polygon."""
        self._draw.polygon([self._at(point) for point in points], (*paint, 255))

    def smooth(self, points: Sequence[Point], paint: Paint) -> None:
        """A filled closed curve through the points (Catmull–Rom)."""
        self.shape(closed_curve(points), paint)

    def blob(self, centre: Point, across: float, along: float, paint: Paint, angle: float = 0.0) -> None:
        """A filled ellipse with half-axes `across` (x) and `along` (y), turned by `angle` radians."""
        turns = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        cos, sin = np.cos(angle), np.sin(angle)
        xs, ys = across * np.cos(turns), along * np.sin(turns)
        outline = [
            (centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos)
            for x, y in zip(xs, ys, strict=True)
        ]
        self.shape(outline, paint)

    def limb(self, joints: Sequence[Point], widths: Sequence[float], paint: Paint) -> None:
        """A tapering strip along `joints`, `widths[i]` wide at joint i, with round ends."""
        spine = np.asarray(joints, np.float64)
        slope = np.gradient(spine, axis=0)
        normal = np.stack([-slope[:, 1], slope[:, 0]], 1) / (
            np.hypot(slope[:, 0], slope[:, 1])[:, None] + 1e-9
        )
        half = np.asarray(widths, np.float64)[:, None] / 2
        left, right = spine + normal * half, spine - normal * half
        self.shape([(float(x), float(y)) for x, y in (*left, *right[::-1])], paint)
        for (x, y), width in ((joints[0], widths[0]), (joints[-1], widths[-1])):
            self.blob((x, y), width / 2, width / 2, paint)

    def sprite(self) -> tuple[Bytes, Point] | None:
        """The drawn part and where the animal's origin lies in it.

        Returns:
            uint8 [height, width, 4] at image scale and the origin (x, y) in its pixels;
            None if nothing was drawn.
        """
        box = self._sheet.getbbox()
        if box is None:
            return None
        cut = self._sheet.crop(box)
        small = cut.convert("RGBa").reduce(OVERSAMPLING).convert("RGBA")
        origin = ((self._origin[0] - box[0]) / OVERSAMPLING, (self._origin[1] - box[1]) / OVERSAMPLING)
        return np.asarray(small), origin

    def _at(self, point: Point) -> Point:
        x, y = point[0] * self._x, point[1] * self._unit
        return (
            self._origin[0] + x * self._cos - y * self._sin,
            self._origin[1] - x * self._sin - y * self._cos,
        )


def closed_curve(points: Sequence[Point], steps: int = 5) -> list[Point]:
    """Points of a closed Catmull–Rom spline, `steps` for each piece."""
    knots = np.asarray(points, np.float64)
    before, here, after, beyond = (np.roll(knots, shift, axis=0)[:, None] for shift in (1, 0, -1, -2))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = 0.5 * (
        2 * here
        + (after - before) * t
        + (2 * before - 5 * here + 4 * after - beyond) * t**2
        + (3 * here - before - 3 * after + beyond) * t**3
    )
    return [(float(x), float(y)) for x, y in curve.reshape(-1, 2)]
