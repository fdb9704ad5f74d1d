"""The view: one small, upright JPEG per media, which inference and pages read instead of the original."""

from dataclasses import dataclass

LONG_SIDE = 1280
"""Pixels, at most. The largest input a detector asks for; nothing is ever enlarged to it."""

QUALITY = 85


@dataclass(frozen=True)
class View:
    """A finished view.

    Boxes found in it are shares of *its* width and height: where the original asks to be turned (EXIF orientation) the
    view is, and the original's stored width and height are the other way round.
    """

    data: bytes
    """JPEG, RGB."""
    original_width: int
    original_height: int
    """Pixels of the original as stored, whatever its orientation."""
    damaged: bool
    """The decoder reached the image's end, but complained on the way."""


def fit(width: int, height: int) -> tuple[int, int]:
    """Width and height of the view of an image of this size, before it is turned; no side below one pixel."""
    longer = max(width, height)
    if longer <= LONG_SIDE:
        return width, height
    return max(1, round(width * LONG_SIDE / longer)), max(1, round(height * LONG_SIDE / longer))
