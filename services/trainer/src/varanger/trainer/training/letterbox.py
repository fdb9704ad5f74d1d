"""Fit an image into the square a model takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from varanger.common.answering.boxes import Letterbox

#: The grey that ultralytics' own training pads with.
PADDING = 114


def letterbox(image: Image.Image, side: int) -> tuple[npt.NDArray[np.uint8], Letterbox]:
    """Scale an RGB image to fit a square and pad it in the middle.

    Args:
        image: RGB, any size.
        side: of the square, pixels.

    Returns:
        uint8 [side, side, 3] and where the image lies in it.
    """
    place = Letterbox(*image.size, side)
    (width, height), (left, top) = place.inner, place.offset
    square = np.full((side, side, 3), PADDING, np.uint8)
    square[top : top + height, left : left + width] = np.asarray(
        image.resize((width, height), Image.Resampling.BILINEAR), np.uint8
    )
    return square, place


def read_image(path: Path, side: int) -> Image.Image:
    """Decode an image as upright RGB, by the JPEG decoder's own scaling down to not less than twice the side."""
    with Image.open(path) as image:
        image.draft("RGB", (2 * side, 2 * side))
        return ImageOps.exif_transpose(image).convert("RGB")
