"""Fit an image into the square a model takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

#: The grey that ultralytics' own training pads with.
PADDING = 114


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where the image lies in the square: ``square = image * scale + (left, top)``, pixels."""

    scale: float
    left: int
    top: int


def letterbox(image: Image.Image, side: int) -> tuple[npt.NDArray[np.uint8], Letterbox]:
    """Scale an RGB image to fit a square and pad it in the middle.

    Args:
        image: RGB, any size.
        side: of the square, pixels.

    Returns:
        uint8 [side, side, 3] and where the image lies in it.
    """
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    left, top = (side - width) // 2, (side - height) // 2
    square = np.full((side, side, 3), PADDING, np.uint8)
    square[top : top + height, left : left + width] = np.asarray(
        image.resize((width, height), Image.Resampling.BILINEAR), np.uint8
    )
    return square, Letterbox(scale, left, top)


def read_image(path: Path, side: int) -> Image.Image:
    """Decode an image as upright RGB, by the JPEG decoder's own scaling down to not less than twice the side."""
    with Image.open(path) as image:
        image.draft("RGB", (2 * side, 2 * side))
        return ImageOps.exif_transpose(image).convert("RGB")
