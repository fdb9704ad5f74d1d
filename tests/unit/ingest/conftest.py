"""Drawn pictures and broken files for the tests of ingest."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

Draw = Callable[..., bytes]


def texture(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth, colourful picture: nothing a scaled decode could tell from a full one but rounding."""
    coarse = np.random.default_rng(seed).integers(70, 190, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def draw() -> Draw:
    def drawn(
        width: int = 160,
        height: int = 120,
        *,
        kind: str = "JPEG",
        mode: str = "RGB",
        exif: object = None,
        **options: object,
    ) -> bytes:
        out = io.BytesIO()
        extra = {} if exif is None else {"exif": exif}
        texture(width, height).convert(mode).save(
            out, kind, **{"quality": 92} if kind == "JPEG" else {}, **extra, **options
        )
        return out.getvalue()

    return drawn


@pytest.fixture
def exif() -> Callable[..., Image.Exif]:
    def made(date: str | None = None, orientation: int | None = None, make: str | None = None) -> Image.Exif:
        tags = Image.Exif()
        if date is not None:
            tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = date
        if orientation is not None:
            tags[ExifTags.Base.Orientation] = orientation
        if make is not None:
            tags[ExifTags.Base.Make] = make
        return tags

    return made


@pytest.fixture
def png_bomb() -> bytes:
    """57 bytes that promise 2.5 gigapixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[bytes], Path]:
    def save(data: bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(data)
        return path

    return save
