"""A season holds what its plan says, the same each time, and its truth can be read back."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from varanger.fieldsim import (
    FAULT_KINDS,
    CameraSetup,
    Season,
    SeasonPlan,
    draw_season,
    read_season,
    write_truth,
)

SMALL = (
    CameraSetup("original", "SIMOPTIC", "Fieldsim 4", (160, 120), 80, strip=True),
    CameraSetup("new", "SIMOPTIC", "Fieldsim 7 Pro", (200, 150), 80, strip=False),
)
PLAN = SeasonPlan(
    seed=7,
    sites=3,
    images=60,
    blank_share=0.5,
    burst_length=(1, 4),
    faults=dict.fromkeys(FAULT_KINDS, 1),
    setups=SMALL,
)


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    return draw_season(PLAN, tmp_path_factory.mktemp("season"))


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_draws_the_same_bytes(season: Season, tmp_path: Path) -> None:
    draw_season(PLAN, tmp_path)
    assert _hashes(tmp_path) == _hashes(season.folder)


def test_another_seed_draws_other_bytes(tmp_path: Path) -> None:
    one = draw_season(SeasonPlan(seed=1, sites=1, images=2, setups=SMALL), tmp_path / "one")
    two = draw_season(SeasonPlan(seed=2, sites=1, images=2, setups=SMALL), tmp_path / "two")
    contents = [(season.folder / media.path).read_bytes() for season in (one, two) for media in season.media]
    assert len(set(contents)) == 4


def test_counts_follow_the_plan(season: Season) -> None:
    assert len(season.deployments) == PLAN.sites
    assert len(season.media) == PLAN.images
    assert sum(not media.observations for media in season.media) == 30
    assert sum(media.capture_method == "timeLapse" for media in season.media) == 6
    assert Counter(fault.kind for fault in season.faults) == dict.fromkeys(FAULT_KINDS, 1)
    photos = [path for path in season.folder.rglob("IMG_*") if path.is_file()]
    assert len(photos) == PLAN.images + len(FAULT_KINDS)


@pytest.mark.parametrize("blank_share", [0.0, 1.0])
@pytest.mark.parametrize("time_lapse_share", [0.0, 0.3, 1.0])
def test_extreme_shares_hold_too(blank_share: float, time_lapse_share: float, tmp_path: Path) -> None:
    plan = SeasonPlan(
        seed=3, sites=2, images=20, blank_share=blank_share, time_lapse_share=time_lapse_share, setups=SMALL
    )
    season = draw_season(plan, tmp_path)
    assert len(season.media) == 20
    assert sum(not media.boxes for media in season.media) == round(20 * blank_share)
    assert sum(media.capture_method == "timeLapse" for media in season.media) == round(20 * time_lapse_share)


def test_an_empty_season_is_a_season(tmp_path: Path) -> None:
    season = draw_season(SeasonPlan(images=0, sites=1, faults={"empty_file": 2}, setups=SMALL), tmp_path)
    assert season.media == ()
    assert [fault.kind for fault in season.faults] == ["empty_file", "empty_file"]


def test_ordinary_images_are_all_different(season: Season) -> None:
    contents = {(season.folder / media.path).read_bytes() for media in season.media}
    assert len(contents) == len(season.media)


def test_observations_count_the_boxes(season: Season) -> None:
    for media in season.media:
        assert dict(media.observations) == Counter(box.taxon for box in media.boxes)


def test_bursts_hang_together_and_keep_apart(season: Season) -> None:
    by_event: dict[str, list[int]] = {}
    for index, media in enumerate(season.media):
        by_event.setdefault(media.event, []).append(index)
    for members in by_event.values():
        assert members == list(range(members[0], members[-1] + 1))
        assert len(members) <= PLAN.burst_length[1]
        times = [season.media[index].captured_at for index in members]
        assert times == sorted(set(times))
        assert times[-1] - times[0] < timedelta(seconds=10)
    assert any(len(members) > 1 for members in by_event.values())
    for earlier, later in zip(season.media, season.media[1:], strict=False):
        if earlier.deployment_id == later.deployment_id and earlier.event != later.event:
            assert later.captured_at - earlier.captured_at > timedelta(seconds=60)


def test_some_bursts_lose_their_animal(tmp_path: Path) -> None:
    plan = SeasonPlan(seed=5, sites=2, images=60, blank_share=0.4, burst_length=(3, 5), setups=SMALL)
    shown: dict[str, set[bool]] = {}
    for media in draw_season(plan, tmp_path).media:
        shown.setdefault(media.event, set()).add(bool(media.boxes))
    assert {True, False} in shown.values()


def test_night_images_are_grey_and_day_images_are_not(season: Season) -> None:
    for media in season.media:
        with Image.open(season.folder / media.path) as image:
            middle = image.convert("RGB").crop((0, 0, image.width, image.height // 2))
        grey = all(low == 0 and high == 0 for low, high in middle.convert("HSV").getextrema()[1:2])
        assert grey == media.night == (not 6 <= media.captured_at.hour < 20)


def test_exif_tells_what_the_truth_tells(season: Season) -> None:
    deployments = {deployment.deployment_id: deployment for deployment in season.deployments}
    for media in season.media:
        deployment = deployments[media.deployment_id]
        assert media.path.startswith(f"{deployment.folder}/IMG_")
        assert deployment.start <= media.captured_at < deployment.end
        with Image.open(season.folder / media.path) as image:
            tags = image.getexif()
            inner = tags.get_ifd(ExifTags.IFD.Exif)
        assert tags[ExifTags.Base.Make] == "SIMOPTIC"
        assert tags[ExifTags.Base.Model] == deployment.camera_model
        assert inner[ExifTags.Base.BodySerialNumber] == deployment.camera_id
        moment = inner[ExifTags.Base.DateTimeOriginal] + "." + inner[ExifTags.Base.SubsecTimeOriginal]
        assert (
            moment == media.captured_at.strftime("%Y:%m:%d %H:%M:%S.") + f"{media.captured_at.microsecond // 1000:03d}"
        )
        mode = "Motion" if media.capture_method == "activityDetection" else "Time"
        assert f"TriggerMode={mode} ".encode() in inner[ExifTags.Base.UserComment]


def test_file_names_repeat_between_deployments_as_on_real_cards(season: Season) -> None:
    for deployment in season.deployments:
        names = sorted(path.stem for path in (season.folder / deployment.folder).iterdir())
        assert names == [f"IMG_{number:04d}" for number in range(1, len(names) + 1)]


def test_setups_take_turns_and_keep_their_size(season: Season) -> None:
    assert [deployment.camera_setup for deployment in season.deployments] == ["original", "new", "original"]
    sizes = {setup.name: setup.size for setup in SMALL}
    for deployment in season.deployments:
        for media in season.media:
            if media.deployment_id == deployment.deployment_id:
                with Image.open(season.folder / media.path) as image:
                    assert image.size == sizes[deployment.camera_setup]


def test_truth_is_read_back_whole(season: Season) -> None:
    assert read_season(season.folder) == season


def test_truth_table_has_every_file(season: Season, tmp_path: Path) -> None:
    write_truth(season, tmp_path / "truth.csv")
    with (tmp_path / "truth.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["path"] for row in rows} == {item.path for item in (*season.media, *season.faults)}
    counted = sum(int(row["count"] or 0) for row in rows)
    assert counted == sum(len(media.boxes) for media in season.media)


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    plan = SeasonPlan(sites=1, images=3, faults={"empty_file": 1}, setups=SMALL)
    draw_season(plan, tmp_path, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError):
        draw_season(SeasonPlan(images=1, sites=1, setups=SMALL), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_with_another_season_is_refused(tmp_path: Path) -> None:
    draw_season(SeasonPlan(images=1, sites=1, setups=SMALL), tmp_path)
    with pytest.raises(FileExistsError):
        draw_season(SeasonPlan(images=2, sites=1, setups=SMALL), tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"blank_share": 1.2},
        {"images": -1},
        {"sites": 0},
        {"burst_length": (3, 2)},
        {"faults": {"gnawed_cable": 1}},
        {"faults": {"empty_file": -1}},
        {"images": 0, "faults": {"duplicate": 1}},
        {"species_weights": {"unicorn": 1.0}},
        {"species_weights": {"hare": -1.0}},
    ],
)
def test_impossible_plans_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        SeasonPlan(**wrong)
