"""Each odd file is odd in exactly the way its name says."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from varanger.fieldsim import FAULT_KINDS, CameraSetup, FaultKind, Season, SeasonPlan, draw_season
from varanger.fieldsim.files.faults import EXPECTED, spoil

SMALL = (CameraSetup("original", "SIMOPTIC", "Fieldsim 4", (160, 120), 80, strip=True),)


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    plan = SeasonPlan(seed=9, sites=2, images=12, faults=dict.fromkeys(FAULT_KINDS, 2), setups=SMALL)
    return draw_season(plan, tmp_path_factory.mktemp("faults"))


def _files(season: Season, kind: FaultKind) -> list[Path]:
    files = [season.folder / fault.path for fault in season.faults if fault.kind == kind]
    assert len(files) == 2
    return files


def _date(image: Image.Image) -> str | None:
    value = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    return None if value is None else str(value)


def test_every_kind_has_an_expectation(season: Season) -> None:
    assert set(EXPECTED) == set(FAULT_KINDS)
    for fault in season.faults:
        assert fault.expected == EXPECTED[fault.kind]
        assert (season.folder / fault.path).suffix == (".PNG" if fault.kind == "bomb_png" else ".JPG")


def test_truncated_jpeg_opens_but_does_not_decode(season: Season) -> None:
    for path in _files(season, "truncated_jpeg"):
        with Image.open(path) as image:
            assert _date(image) is not None
            with pytest.raises(OSError, match="truncated"):
                image.load()


def test_png_named_jpg_is_a_whole_png(season: Season) -> None:
    for path in _files(season, "png_named_jpg"):
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"


def test_text_and_empty_files_are_no_images(season: Season) -> None:
    for path in _files(season, "text_named_jpg"):
        assert path.read_text(encoding="ascii").endswith("\n")
    for path in _files(season, "empty_file"):
        assert path.stat().st_size == 0


@pytest.mark.parametrize("kind", ["bomb_jpeg", "bomb_png"])
def test_bombs_are_small_files_that_claim_billions_of_pixels(
    season: Season, kind: FaultKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_478_485)  # Pillow's own limit, whoever changed it before
    for path in _files(season, kind):
        assert path.stat().st_size < 100_000
        with pytest.raises(Image.DecompressionBombError):
            Image.open(path)


def test_missing_date_is_all_that_is_wrong(season: Season) -> None:
    for path in _files(season, "no_date"):
        with Image.open(path) as image:
            image.load()
            assert _date(image) is None
            assert ExifTags.Base.DateTime not in image.getexif()
            assert image.getexif()[ExifTags.Base.Make] == "SIMOPTIC"


def test_duplicate_repeats_an_ordinary_image(season: Season) -> None:
    ordinary = {hashlib.sha256((season.folder / media.path).read_bytes()).digest() for media in season.media}
    for path in _files(season, "duplicate"):
        assert hashlib.sha256(path.read_bytes()).digest() in ordinary


def test_a_size_can_only_be_claimed_in_a_jpeg() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")
    with pytest.raises(ValueError, match="frame header"):
        spoil("bomb_jpeg", stream.getvalue())
