"""Models see the same in the view that ingest wrote as in the original (decode once), on real images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from varanger.inference.adapters.decoding import Pixels, prepare_image
from varanger.ingest.adapters.decoding import decode_view
from varanger.ingest.domain.file_types import JPEG

SIDE = 640
PER_FOLDER = 3
LEVELS = 6.0
"""Mean difference in grey levels that a second compression may make of the most finely textured image (seen: 5.5)."""
USUAL_LEVELS = 2.5
"""Of half the images (seen: 1.4)."""
BIAS = 1.0
"""Grey levels that the whole image may become brighter or darker (seen: 0.6)."""
ORIENTATION = 0x0112


def photos(folder: Path) -> list[Path]:
    """The largest readable images of every folder."""
    chosen = []
    for part in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != "broken"):
        found = sorted(path for path in part.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        found.sort(key=lambda path: -path.stat().st_size)
        chosen += [path for path in found[: 2 * PER_FOLDER] if is_readable(path)][:PER_FOLDER]
    return chosen


def is_readable(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError):
        return False
    return True


def difference(first: Pixels, second: Pixels) -> float:
    """Mean absolute difference, grey levels."""
    return float(np.abs(first.astype(np.int16) - second.astype(np.int16)).mean())


def test_the_view_shows_models_what_the_original_shows(sample_data: Path) -> None:
    differences = []
    for path in photos(sample_data):
        with Image.open(path) as image:
            orientation, size = image.getexif().get(ORIENTATION, 1), image.size
        upright = size if orientation < 5 else size[::-1]
        view = prepare_image(decode_view(path, JPEG, orientation=orientation).data, frozenset({SIDE}), max_pixels=10**9)
        original = prepare_image(path.read_bytes(), frozenset({SIDE}), max_pixels=10**9)
        assert (original.width, original.height) == upright
        assert view.width / view.height == pytest.approx(upright[0] / upright[1], rel=0.01)
        seen, expected = view.squares[SIDE], original.squares[SIDE]
        here = difference(seen, expected)
        shifted = min(difference(np.roll(seen, by, axis), expected) for by in (-1, 1) for axis in (0, 1))
        assert here <= shifted, f"{path.name}: the view lies a pixel aside"
        assert here < LEVELS, path.name
        assert abs(seen.mean() - expected.mean()) < BIAS, path.name
        differences.append(here)
    assert len(differences) > 10
    assert np.median(differences) < USUAL_LEVELS
