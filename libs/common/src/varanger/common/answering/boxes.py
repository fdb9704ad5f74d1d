"""Geometry of boxes: overlap, and the way into a model's square and back out of it."""

from dataclasses import dataclass

from varanger.common.words import BoundingBox

DECIMALS = 6
"""Of a stored share: a thousandth of a pixel in the largest image."""


def overlap(a: BoundingBox, b: BoundingBox) -> float:
    """Intersection over union of two boxes `(x_min, y_min, width, height)`; 0 where both are empty."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    union = a[2] * a[3] + b[2] * b[3] - shared
    return min(shared / union, 1.0) if union > 0 else 0.0


def share_their_centres(a: BoundingBox, b: BoundingBox) -> bool:
    """Whether each box holds the other's centre: the same thing, drawn more tightly by one than by the other."""
    return _holds_centre_of(a, b) and _holds_centre_of(b, a)


def _holds_centre_of(outer: BoundingBox, inner: BoundingBox) -> bool:
    x, y = inner[0] + inner[2] / 2, inner[1] + inner[3] / 2
    return outer[0] <= x <= outer[0] + outer[2] and outer[1] <= y <= outer[1] + outer[3]


@dataclass(frozen=True)
class Letterbox:
    """How an upright image of `width` x `height` pixels lies, whole and centred, in a square of `side` pixels."""

    width: int
    height: int
    side: int

    @property
    def scale(self) -> float:
        """Square pixels per image pixel; above 1 where the image is smaller than the square."""
        return self.side / max(self.width, self.height)

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height of the image inside the square, pixels, each at least 1."""
        return max(1, round(self.width * self.scale)), max(1, round(self.height * self.scale))

    @property
    def offset(self) -> tuple[int, int]:
        """Left and top margin, pixels; an odd pixel goes to the right and to the bottom."""
        width, height = self.inner
        return (self.side - width) // 2, (self.side - height) // 2

    def to_shares(self, x1: float, y1: float, x2: float, y2: float) -> BoundingBox:
        """Corners in square pixels as a box in shares of the upright image, cut at its edges."""
        (left, top), (width, height) = self.offset, self.inner
        x_min, x_max = (_into_unit((x - left) / width) for x in (min(x1, x2), max(x1, x2)))
        y_min, y_max = (_into_unit((y - top) / height) for y in (min(y1, y2), max(y1, y2)))
        return (
            round(x_min, DECIMALS),
            round(y_min, DECIMALS),
            round(x_max - x_min, DECIMALS),
            round(y_max - y_min, DECIMALS),
        )


def _into_unit(share: float) -> float:
    return min(max(share, 0.0), 1.0)
