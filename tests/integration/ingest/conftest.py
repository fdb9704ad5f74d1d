"""Drawn videos, encoded by the library that ingest decodes with."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest


def drawn_video(  # what a camera may choose
    *,
    frames: int = 30,
    rate: int | Fraction = 10,
    kind: str = "mp4",
    codec: str = "mpeg4",
    size: tuple[int, int] = (160, 96),
    rotation: int = 0,
    options: dict[str, str] | None = None,
) -> bytes:
    """Frame n is as bright as 40 + 4·(n mod 50), with a dark upper left quarter."""
    # A file, because a container whose index goes to its beginning is read again while it is written.
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        with av.open(str(path), "w", format=kind, options=options or {}) as container:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.bit_rate = 2_000_000
            if rotation:
                stream.set_display_rotation(rotation)
            for number in range(frames):
                pixels = np.full((size[1], size[0], 3), 40 + 4 * (number % 50), np.uint8)
                pixels[: size[1] // 2, : size[0] // 2] //= 3
                for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                    container.mux(packet)
            container.mux(stream.encode())
        return path.read_bytes()


@pytest.fixture
def draw_video() -> Callable[..., bytes]:
    return drawn_video
