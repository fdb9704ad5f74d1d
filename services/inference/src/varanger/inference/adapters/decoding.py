"""From an image file's bytes to the squares that models take, upright. C decoders, so: call it in a thread."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from varanger.common.answering.boxes import Letterbox

Pixels = NDArray[np.uint8]
"""`[height, width, 3]`, RGB."""

MARGIN_GREY = 114
"""What the YOLO family is trained to see around an image."""

Image.MAX_IMAGE_PIXELS = None
# Ours is checked against the header, before anything is decoded; Pillow's own limit would warn at half of it.

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image of this EXIF orientation upright."""


class UndecodableImage(Exception):
    """These bytes are no image that can be shown whole; the text says why."""


@dataclass(frozen=True)
class PreparedImage:
    """One upright image as models take it. Boxes in shares of it are shares of every copy of it, of whatever size."""

    width: int
    height: int
    squares: dict[int, Pixels]
    """By side S: `[S, S, 3]`, the image centred on grey."""

    def letterbox(self, side: int) -> Letterbox:
        """How it lies in the square of that side."""
        return Letterbox(self.width, self.height, side)


def prepare_image(data: bytes, sides: frozenset[int], *, max_pixels: int) -> PreparedImage:
    """Decode once, no larger than needed, turn upright, and fit into a square of each side.

    Raises:
        UndecodableImage: no image, broken, cut short, or more than `max_pixels` pixels.
    """
    try:
        with Image.open(BytesIO(data)) as header:
            stored = header.size
            if stored[0] * stored[1] > max_pixels:
                raise UndecodableImage(f"{stored[0]} x {stored[1]} pixels: more than {max_pixels} are not decoded")
            orientation = _orientation(header)
            pixels = _decode(header, data, Letterbox(*stored, max(sides)).inner)
    except UndecodableImage:
        raise
    except MemoryError:
        raise
    except UnidentifiedImageError as error:  # its own text names our buffer
        raise UndecodableImage("these bytes are no image of any known type") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on broken bytes
        raise UndecodableImage(f"cannot be decoded: {error}"[:500]) from error
    image = Image.fromarray(pixels)
    width, height = stored
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
        width, height = stored if orientation < 5 else stored[::-1]
    return PreparedImage(width, height, {side: _fit(image, Letterbox(width, height, side)) for side in sides})


def _decode(header: Image.Image, data: bytes, wanted: tuple[int, int]) -> Pixels:
    """Pixels of at least the `wanted` width and height, or all there are."""
    if header.format == "JPEG" and header.mode in ("RGB", "L"):
        try:
            pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_width=wanted[0], min_height=wanted[1])
            return pixels
        except ValueError:
            pass  # it stops at the first oddity, harmless ones too; Pillow tells the harmless from the broken
    if header.format == "JPEG":
        header.draft(None, wanted)
    header.load()
    return np.asarray(_to_rgb(header))


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB by what a viewer would show: 16-bit grey loses its low byte, what is transparent is drawn on white."""
    if image.mode.startswith(("I", "F")):
        levels = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I") else max(float(levels.max(initial=0.0)), 1.0)
        return Image.fromarray((np.clip(levels / top, 0, 1) * 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _orientation(header: Image.Image) -> int:
    try:
        return int(header.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a broken EXIF block says nothing about the picture
        return 1


def _fit(image: Image.Image, letterbox: Letterbox) -> Pixels:
    square = np.full((letterbox.side, letterbox.side, 3), MARGIN_GREY, np.uint8)
    (left, top), (width, height) = letterbox.offset, letterbox.inner
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    square[top : top + height, left : left + width] = np.asarray(image)
    return square
