"""The training layout splits by site and writes labels a trainer can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from varanger.fieldsim import CLASSES, EXPERT_GROUPS, CameraSetup, Season, SeasonPlan, draw_season, write_yolo

SMALL = (CameraSetup("original", "SIMOPTIC", "Fieldsim 4", (160, 120), 80, strip=False),)


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    plan = SeasonPlan(seed=2, sites=3, images=30, blank_share=0.2, setups=SMALL)
    return draw_season(plan, tmp_path_factory.mktemp("season"))


def test_no_site_lies_on_both_sides(season: Season, tmp_path: Path) -> None:
    data = write_yolo(season, tmp_path, holdout_sites=1)
    assert data == tmp_path / "data.yaml"
    sites = {
        split: {path.name.split("-")[0] for path in (tmp_path / "images" / split).iterdir()}
        for split in ("train", "val")
    }
    assert sites == {"train": {"site_01", "site_02"}, "val": {"site_03"}}
    assert f"  0: {CLASSES[0]}\n" in data.read_text(encoding="utf-8")


def test_labels_are_the_true_boxes(season: Season, tmp_path: Path) -> None:
    write_yolo(season, tmp_path, holdout_sites=1)
    for media in season.media:
        name = media.path.replace("/", "__").removesuffix(".JPG")
        (label,) = (tmp_path / "labels").rglob(f"{name}.txt")
        (image,) = (tmp_path / "images").rglob(f"{name}.jpg")
        assert image.read_bytes() == (season.folder / media.path).read_bytes()
        rows = [line.split() for line in label.read_text(encoding="utf-8").splitlines()]
        assert [CLASSES[int(row[0])] for row in rows] == [box.taxon for box in media.boxes]
        for row, box in zip(rows, media.boxes, strict=True):
            x, y, width, height = (float(value) for value in row[1:])
            assert (x - width / 2, y - height / 2) == pytest.approx((box.x_min, box.y_min), abs=1e-5)
            assert (width, height) == pytest.approx((box.width, box.height), abs=1e-5)


def test_an_expert_sees_only_its_group(season: Season, tmp_path: Path) -> None:
    write_yolo(season, tmp_path, holdout_sites=1, classes=EXPERT_GROUPS["large"])
    numbers = {
        int(line.split()[0])
        for label in (tmp_path / "labels").rglob("*.txt")
        for line in label.read_text(encoding="utf-8").splitlines()
    }
    assert numbers <= set(range(len(EXPERT_GROUPS["large"])))
    assert len(list((tmp_path / "images").rglob("*.jpg"))) == len(season.media)


def test_a_layout_can_be_written_again(season: Season, tmp_path: Path) -> None:
    write_yolo(season, tmp_path, holdout_sites=1)
    write_yolo(season, tmp_path, holdout_sites=1)
    assert len(list((tmp_path / "images").rglob("*.jpg"))) == len(season.media)


@pytest.mark.parametrize("holdout", [0, 3])
def test_a_split_without_a_side_is_refused(season: Season, tmp_path: Path, holdout: int) -> None:
    with pytest.raises(ValueError, match="sites"):
        write_yolo(season, tmp_path, holdout_sites=holdout)
