"""What ingest says of real camera-trap files, against ExifTool's own answers kept beside them."""

import csv
import io
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from varanger.common.settings import Settings
from varanger.ingest.adapters import open_metadata_reader
from varanger.ingest.application.examine import Examiner
from varanger.ingest.application.inspect import inspect_files
from varanger.ingest.domain.video import sample_frames
from varanger.ingest.domain.view import View, fit

BROKEN = {
    "african_elephants_bw.jpg": ("media", None),
    "african_elephants_truncated_file.jpg": ("media", None),
    "error_img.JPG": ("quarantined", "empty_file"),
    "error_vid.mp4": ("quarantined", "empty_file"),
    "exif-samples_image01713.jpg": ("media", None),
    "exif-samples_image02206.jpg": ("media", None),
    "imagetestsuite_138d3b9e0d9fbf641b8135981e597c3a.jpg": ("quarantined", "corrupt_image"),
    "imagetestsuite_2183d39878e734cf79b62428b02fafb5.jpg": ("quarantined", "corrupt_image"),
    "imagetestsuite_21ad703b38e2c350215bb92a849486f3.jpg": ("quarantined", "corrupt_image"),
    "imagetestsuite_28968137f4fc75fbf56f16d7a7a8551a.jpg": ("quarantined", "truncated_image"),
}
IMAGES = (".jpg", ".jpeg")


@pytest.fixture(scope="module")
def expected(sample_data):
    answers = json.loads((sample_data / "expected_exiftool" / "exiftool_12.57_numeric.json").read_text())
    return {answer["SourceFile"]: answer for answer in answers if answer["SourceFile"].lower().endswith(IMAGES)}


@pytest.fixture(scope="module")
def durations(sample_data):
    """Of every video, as ExifTool makes it out."""
    answers = json.loads((sample_data / "expected_exiftool" / "exiftool_12.57_numeric.json").read_text())
    return {one["SourceFile"]: one.get("QuickTime:Duration", one.get("Composite:Duration")) for one in answers}


@pytest.fixture(scope="module")
def inspected(sample_data, expected):
    """Every image that ExifTool had something to say of, through ingest's own code."""
    found = inspect_files(sample_data / name for name in expected)
    return dict(zip(expected, found, strict=True))


def test_the_table_is_long_enough_to_mean_something(inspected):
    assert len(inspected) > 400
    assert all(one["reader"].startswith("exiftool") for one in inspected.values() if one["bytes"])


def test_size_and_date_stand_as_the_manifest_has_them(sample_data, inspected):
    with (sample_data / "MANIFEST.tsv").open(newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file, delimiter="\t")}
    compared = 0
    for name, found in inspected.items():
        row = rows[name]
        assert found["sha256"].startswith(row["sha256_16"])
        assert found["bytes"] == int(row["bytes"])
        if "x" in row["size"] and found["width"]:
            assert f"{found['width']}x{found['height']}" == row["size"], name
            compared += 1
    assert compared > 400


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(sample_data, name):
    (found,) = inspect_files([sample_data / "broken" / name])
    assert (found["verdict"], found["reason"]) == BROKEN[name]
    assert ("truncated" in found["flags"]) == (name == "african_elephants_truncated_file.jpg")


def test_all_other_images_and_videos_are_media(sample_data, inspected, durations):
    for name, found in inspected.items():
        if not name.startswith("broken/"):
            assert found["verdict"] == "media", found
    videos = [
        path for path in sample_data.rglob("*") if path.suffix.lower() in (".mp4", ".avi") and path.stat().st_size
    ]
    assert len(videos) > 10
    for found in inspect_files(videos):
        assert found["verdict"] == "media", found
        there = durations[Path(found["file"]).relative_to(sample_data).as_posix()]
        assert found["duration_s"] == pytest.approx(there, abs=0.05), found["file"]
        count, rate = round(found["duration_s"] * found["frame_rate"]), found["frame_rate"]
        assert found["frame_numbers"] == sample_frames(count, rate, frames_per_s=1.0, max_frames=60), found["file"]
        assert "truncated" not in found["flags"]


def test_views_show_what_a_full_decode_shows(sample_data, expected):
    """Mean absolute difference between each view and Pillow's full decode at the same size, over all makes."""
    names = [name for name in expected if not name.startswith(("broken/", "smallmammal"))][::4]
    worst, total = 0.0, 0.0
    with closing(Examiner(open_metadata_reader(), Settings())) as examiner:
        for name in names:
            found = examiner.examine(sample_data / name, name)
            assert isinstance(found.outcome, View), name
            view = Image.open(io.BytesIO(found.outcome.data))
            with Image.open(sample_data / name) as original:
                full = original.convert("RGB").resize(fit(*original.size), Image.Resampling.LANCZOS)
            assert view.size == full.size
            difference = float(np.abs(np.asarray(view, np.int16) - np.asarray(full, np.int16)).mean())
            worst, total = max(worst, difference), total + difference
    assert total / len(names) < 2.5
    assert worst < 6
