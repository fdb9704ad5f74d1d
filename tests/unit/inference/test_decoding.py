"""From bytes to squares: upright, whole, or a reason."""

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from varanger.inference.adapters.decoding import MARGIN_GREY, UndecodableImage, prepare_image

SIDES = frozenset({64, 128})


def prepare(data: bytes) -> Any:
    return prepare_image(data, SIDES, max_pixels=10_000_000)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def half_white(width: int, height: int) -> Image.Image:
    """White on the left, black on the right."""
    image = Image.new("RGB", (width, height))
    image.paste((255, 255, 255), (0, 0, width // 2, height))
    return image


def test_an_image_lies_whole_and_centred() -> None:
    image = prepare(encoded(half_white(400, 200)))
    assert (image.width, image.height) == (400, 200)
    assert set(image.squares) == SIDES
    square = image.squares[64]
    assert square.shape == (64, 64, 3)
    assert (square[:16] == MARGIN_GREY).all()
    assert (square[48:] == MARGIN_GREY).all()
    assert square[32, 4].mean() > 250
    assert square[32, 60].mean() < 5


def test_a_small_image_is_enlarged() -> None:
    square = prepare(encoded(half_white(20, 20), "PNG")).squares[128]
    assert square[64, 4].mean() > 250


def test_an_image_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: what is left comes up
    image = prepare(encoded(half_white(400, 200), exif=exif))
    assert (image.width, image.height) == (200, 400)
    square = image.squares[64]
    assert square[4, 32].mean() > 250
    assert square[60, 32].mean() < 5


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "I;16", "1"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new(mode, (100, 100), 0)
    kind = "JPEG" if mode in ("L", "CMYK") else "PNG"
    assert prepare(encoded(image, kind)).squares[64].shape == (64, 64, 3)


def bomb() -> bytes:
    """A PNG header that promises 100 000 x 100 000 pixels."""
    data = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"just text",
        encoded(half_white(400, 200))[:900],
        encoded(half_white(400, 200), "PNG")[:300],
        bomb(),
    ],
    ids=["empty", "text", "half a JPEG", "half a PNG", "bomb"],
)
def test_what_cannot_be_shown_whole_is_told(data: bytes) -> None:
    with pytest.raises(UndecodableImage):
        prepare(data)


def test_too_many_pixels_are_not_decoded() -> None:
    with pytest.raises(UndecodableImage, match="pixels"):
        prepare_image(encoded(half_white(400, 200)), SIDES, max_pixels=1000)


def test_scaled_decoding_shows_the_same() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (8, 12, 3), np.uint8)
    large = Image.fromarray(noise).resize((2400, 1600), Image.Resampling.BICUBIC)
    jpeg, png = prepare(encoded(large, quality=95)), prepare(encoded(large, "PNG"))
    difference = np.abs(jpeg.squares[128].astype(int) - png.squares[128].astype(int))
    assert difference.mean() < 2
