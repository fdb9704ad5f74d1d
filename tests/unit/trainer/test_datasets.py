"""Every dataset format says the same of the same images; a broken one says where."""

import json
from pathlib import Path

import pytest
from PIL import Image

from varanger.trainer.adapters.datasets import dataset_folder, read_dataset
from varanger.trainer.domain.dataset import DatasetInvalid, LabelledBox, classes_of, dataset_sha256
from varanger.trainer.domain.spec import DatasetSource, SpecInvalid, parse_spec

BOX = (0.25, 0.5, 0.5, 0.25)


def picture(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (200, 100), (shade, shade, shade)).save(path)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    folder = tmp_path / "coco"
    for number in range(3):
        picture(folder / f"images/{number}.jpg", number)
    images = [
        {"id": n, "file_name": f"images/{n}.jpg", "width": 200, "height": 100, "seq_id": f"q{n // 2}", "location": "a"}
        for n in range(3)
    ]
    annotations = [
        {"image_id": 0, "category_id": 1, "bbox": [50, 50, 100, 25]},
        {"image_id": 1, "category_id": 0},
        {"image_id": 2, "category_id": 2},
    ]
    categories = [{"id": 0, "name": "empty"}, {"id": 1, "name": "fox"}, {"id": 2, "name": "hare"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "coco_camera_traps.json").write_text(json.dumps(document))
    return folder


def test_coco_camera_traps(coco: Path) -> None:
    fox, blank, hare = read_dataset(DatasetSource(format="coco_camera_traps", url=coco.as_uri()))
    assert fox.boxes == (LabelledBox("fox", BOX),)
    assert (fox.event, blank.event, hare.event) == ("q0", "q0", "q1")
    assert blank.labels == frozenset()
    assert (hare.boxes, hare.unboxed, hare.labels) == ((), ("hare",), {"hare"})
    assert classes_of([fox, blank, hare]) == ("fox",)


def test_yolo(tmp_path: Path) -> None:
    for number, place in enumerate(["site_1/e1/0.jpg", "site_1/e1/1.jpg", "site_2/e1/2.jpg"]):
        picture(tmp_path / "images" / place, number)
    (tmp_path / "classes.txt").write_text("fox\nhare\n")
    label = tmp_path / "labels/site_1/e1/0.txt"
    label.parent.mkdir(parents=True)
    label.write_text("1 0.5 0.625 0.5 0.25\n\n")
    first, second, third = read_dataset(DatasetSource(format="yolo", url=str(tmp_path)))
    assert first.boxes == (LabelledBox("hare", BOX),)
    assert second.boxes == ()
    assert [one.site for one in (first, second, third)] == ["site_1", "site_1", "site_2"]
    assert first.event == second.event != third.event


def test_a_simulated_season(tmp_path: Path) -> None:
    from varanger.fieldsim import SeasonPlan, draw_season

    plan = SeasonPlan(seed=3, sites=2, images=8, blank_share=0.3, faults={"text_named_jpg": 1})
    season = draw_season(plan, tmp_path)
    images = read_dataset(DatasetSource(format="fieldsim", url=str(tmp_path)))
    assert len(images) == len(season.media) == 8
    assert {one.site for one in images} == {"site_01", "site_02"}
    truth = {tmp_path / media.path: media for media in season.media}
    for one in images:
        media = truth[one.path]
        assert one.event == media.event
        assert [box.label for box in one.boxes] == [box.taxon for box in media.boxes]


def test_a_datasets_name_follows_its_content_alone(coco: Path, tmp_path: Path) -> None:
    source = DatasetSource(format="coco_camera_traps", url=str(coco))
    images = read_dataset(source)
    name = dataset_sha256(images)
    moved = coco.rename(tmp_path / "moved")
    again = read_dataset(source.model_copy(update={"url": str(moved)}))
    assert dataset_sha256(again[::-1]) == name
    picture(moved / "images/1.jpg", 99)
    assert dataset_sha256(again) != name


@pytest.mark.parametrize("kind", ["coco_camera_traps", "yolo", "fieldsim"])
def test_an_empty_folder_says_which_file_is_missing(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match=str(tmp_path)):
        read_dataset(DatasetSource.model_validate({"format": kind, "url": str(tmp_path)}))


def test_a_label_of_an_unknown_class_is_named_by_file_and_line(tmp_path: Path) -> None:
    picture(tmp_path / "images/s/e/0.jpg", 0)
    (tmp_path / "classes.txt").write_text("fox\n")
    (tmp_path / "labels/s/e").mkdir(parents=True)
    (tmp_path / "labels/s/e/0.txt").write_text("0 0.5 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DatasetInvalid, match=r"0\.txt:2: .* 1 classes"):
        read_dataset(DatasetSource(format="yolo", url=str(tmp_path)))


@pytest.mark.parametrize("url", ["s3://bucket/data", "/nowhere/at/all"])
def test_a_place_that_is_no_folder_is_refused(url: str) -> None:
    with pytest.raises(DatasetInvalid, match="folder"):
        dataset_folder(url)


def test_a_misspelt_field_of_a_specification_is_named() -> None:
    spec = {
        "name": "n",
        "description": "d",
        "dataset": {"format": "yolo", "url": "/x"},
        "groups": {"g": ["fox"]},
        "effort": {"epochs": 3},
    }
    with pytest.raises(SpecInvalid, match=r"effort\.epochs"):
        parse_spec(spec)
    assert parse_spec({**spec, "effort": {}}).preset == "yolov8n"


@pytest.mark.parametrize(
    "file",
    sorted((Path(__file__).resolve().parents[3] / "services/trainer/specs").glob("*.json")),
    ids=lambda f: f.stem,
)
def test_every_specification_we_ship_can_be_read(file: Path) -> None:
    assert parse_spec(file.read_bytes()).name == file.stem
