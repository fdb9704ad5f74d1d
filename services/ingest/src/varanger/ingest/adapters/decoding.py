"""Decode an image once: verify it to its last byte, and write its view from the same, DCT-scaled decode.

Decoders are C code that reads hostile bytes. A crash in one of them takes the process with it; the delivery then comes
again, and the queue's delivery limit ends what crashes every time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from varanger.ingest.domain.file_types import JPEG, TIFF, FileType
from varanger.ingest.domain.verdict import ImageUnreadable, QuarantineReason, decoding_failed
from varanger.ingest.domain.view import QUALITY, View, enough_can_be_seen, fit

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
        return _size_as_stored(image)


def decode_view(path: Path, file_type: FileType, *, orientation: int = 1) -> View:
    """Decode the whole image and make its view, turned upright by EXIF `orientation`.

    Raises:
        ImageUnreadable: the decoder did not reach the image's end, and of a JPEG not enough to be worth showing.
    """
    with _open(path, file_type) as header:
        size, mode, stored = fit(*header.size), header.mode, _size_as_stored(header)
    decoded = _decode(path, file_type, size, mode)
    image = Image.fromarray(decoded.pixels)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    if orientation in _UPRIGHT and file_type is not TIFF:  # Pillow has turned that itself
        image = image.transpose(_UPRIGHT[orientation])
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=QUALITY, colorsubsampling="420")
    return View(data, *stored, decoded.damaged, decoded.truncated)


def _size_as_stored(image: Image.Image) -> tuple[int, int]:
    """Pillow gives a TIFF's size as it will be when turned upright, which is done while loading it."""
    if isinstance(image, TiffImageFile):
        return image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
    return image.size


class _Decoded(NamedTuple):
    pixels: Pixels
    """At the view's size or a little above."""
    damaged: bool = False
    truncated: bool = False


def _decode(path: Path, file_type: FileType, size: tuple[int, int], mode: str) -> _Decoded:
    """The image at `size` (width, height) or a little above, and what was wrong with it."""
    if file_type is not JPEG or mode == "CMYK":  # libjpeg-turbo does not turn CMYK into RGB
        return _Decoded(_decode_with_pillow(path, file_type, size))
    data = path.read_bytes()
    try:
        return _Decoded(simplejpeg.decode_jpeg(data, "RGB", min_width=size[0], min_height=size[1]))
    except ValueError:
        # It stops at the first oddity, harmless ones too. Pillow tells the harmless from the broken.
        try:
            return _Decoded(_decode_with_pillow(path, file_type, size), damaged=True)
        except ImageUnreadable as error:
            return _Decoded(_decode_what_is_there(data, size, error), truncated=True)


def _decode_what_is_there(data: bytes, size: tuple[int, int], refused: ImageUnreadable) -> Pixels:
    """The pixels of a JPEG that ends too soon.

    Raises:
        ImageUnreadable: `refused`, where it is broken in another way or there is too little to see.
    """
    if refused.verdict.reason is not QuarantineReason.TRUNCATED_IMAGE:
        raise refused
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_width=size[0], min_height=size[1], strict=False)
    except ValueError:
        raise refused from None
    if not enough_can_be_seen(_rows_seen(pixels), len(pixels)):
        raise refused
    return pixels


def _rows_seen(pixels: Pixels) -> int:
    """Whole rows above the part that libjpeg fills with one grey when data end (`insufficient_data`, its jdhuff.c).

    Data end in the middle of a row of blocks, so that its right end tells whether it is whole.
    """
    right_end = pixels[:, -max(1, pixels.shape[1] // 16) :]
    filled = (right_end == pixels[-1, -1]).all(axis=(1, 2))
    return 0 if filled.all() else len(pixels) - int(np.argmin(filled[::-1]))


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
