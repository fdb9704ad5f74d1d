"""The view: one small, upright JPEG per media, which inference and pages read instead of the original."""

from dataclasses import dataclass

LONG_SIDE = 1280
"""Pixels, at most. The largest input a detector asks for; nothing is ever enlarged to it."""

QUALITY = 85

LEAST_SHARE_SEEN = 1 / 8
"""Of a truncated image's rows. With less there is hardly a place to recognise; docs/decisions/0002 says more."""


def enough_can_be_seen(rows: int, of: int) -> bool:
    """Whether a truncated image whose first `rows` rows `of` so many are there is media."""
    return rows >= LEAST_SHARE_SEEN * of


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
    truncated: bool = False
    """The file ended first. The view is whole in size, so that shares of it mean what they mean in the original; what
    is missing at its bottom is grey."""


def fit(width: int, height: int) -> tuple[int, int]:
    """Width and height of the view of an image of this size, before it is turned; no side below one pixel."""
    longer = max(width, height)
    if longer <= LONG_SIDE:
        return width, height
    return max(1, round(width * LONG_SIDE / longer)), max(1, round(height * LONG_SIDE / longer))
