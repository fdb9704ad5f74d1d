"""Decode an image once: verify it to its last byte, and write its view from the same, DCT-scaled decode.

Decoders are C code that reads hostile bytes. A crash in one of them takes the process with it; the delivery then comes
again, and the queue's delivery limit ends what crashes every time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from varanger.ingest.domain.file_types import JPEG, FileType
from varanger.ingest.domain.verdict import ImageUnreadable, decoding_failed
from varanger.ingest.domain.view import QUALITY, View, fit

Image.MAX_IMAGE_PIXELS = None
# Ours is checked against the header before anything is decoded; Pillow's own limit would warn at half of it.

Pixels = NDArray[np.uint8]
"""Shape (height, width, 3), RGB."""

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


def read_size(path: Path, file_type: FileType) -> tuple[int, int]:
    """Width and height in pixels as stored, from the header alone.

    Raises:
        ImageUnreadable: there is no such header.
    """
    with _open(path, file_type) as image:
        return image.size


def decode_view(path: Path, file_type: FileType, *, orientation: int = 1) -> View:
    """Decode the whole image and make its view, turned upright by EXIF `orientation`.

    Raises:
        ImageUnreadable: the decoder did not reach the image's end.
    """
    with _open(path, file_type) as header:
        (width, height), mode = header.size, header.mode
    pixels, damaged = _decode(path, file_type, fit(width, height), mode)
    image = Image.fromarray(pixels)
    if image.size != fit(width, height):
        image = image.resize(fit(width, height), Image.Resampling.BILINEAR)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=QUALITY, colorsubsampling="420")
    return View(data, width, height, damaged)


def _decode(path: Path, file_type: FileType, size: tuple[int, int], mode: str) -> tuple[Pixels, bool]:
    """Pixels at the view's `size` (width, height) or a little above, and whether the strict decoder complained."""
    if file_type is not JPEG or mode == "CMYK":  # libjpeg-turbo does not turn CMYK into RGB
        return _decode_with_pillow(path, file_type, size), False
    try:
        return simplejpeg.decode_jpeg(path.read_bytes(), "RGB", min_width=size[0], min_height=size[1]), False
    except ValueError:
        # It stops at the first oddity, harmless ones too. Pillow tells the harmless from the broken.
        return _decode_with_pillow(path, file_type, size), True


def _decode_with_pillow(path: Path, file_type: FileType, size: tuple[int, int]) -> Pixels:
    with _open(path, file_type) as image, _judging():
        if file_type is JPEG:
            image.draft(None, size)
        image.load()
        return np.asarray(_to_rgb(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB by what a viewer would show: 16-bit grey loses its low byte, what is transparent is drawn on white."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image), 0, 0xFFFF) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _open(path: Path, file_type: FileType) -> Image.Image:
    """Let only the plugin of the sniffed type look at the file."""
    with _judging():
        try:
            return Image.open(path, formats=(file_type.name,))
        except UnidentifiedImageError as error:  # its own text names our temporary file
            raise ValueError(f"it begins like {file_type.name}, but its header cannot be read") from error


@contextmanager
def _judging() -> Iterator[None]:
    """Turn what a decoder raises into a verdict on the bytes: its plugins raise nearly anything on broken ones.

    No verdict: the disk's own errors, which carry an errno, and a machine out of memory. They are raised as they are.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise ImageUnreadable(decoding_failed(error)) from error
