"""`predict_folder`: MegaDetector JSON 1.6 of a folder, by the format's own rules; no broken image ends the run."""

import json
from pathlib import Path
from typing import Any

import pytest

from varanger.common.errors import ReleaseInvalid
from varanger.inference.application.predict_folder import predict_folder


def check_format(results: dict[str, Any]) -> None:
    """The rules of https://lila.science/megadetector-output-format for version 1.6, images only."""
    assert results["info"]["format_version"] == "1.6"
    assert isinstance(results["info"]["detector"], str)
    assert results["detection_categories"] == {"1": "animal", "2": "person", "3": "vehicle"}
    assert all(int(number) and name for number, name in results["classification_categories"].items())
    for image in results["images"]:
        assert not image["file"].startswith("/")
        assert "\\" not in image["file"]
        if "failure" in image:
            assert isinstance(image["failure"], str)
            assert image["detections"] is None
            continue
        for detection in image["detections"]:
            assert isinstance(detection["conf"], float)
            assert detection["category"] in results["detection_categories"]
            assert len(detection["bbox"]) == 4
            assert all(0 <= share <= 1 for share in detection["bbox"])
            for number, confidence in detection.get("classifications", []):
                assert number in results["classification_categories"]
                assert isinstance(confidence, float)


@pytest.fixture
def folder(tmp_path: Path, colours: Any) -> Path:
    images = {
        "b/hare.JPG": colours.jpeg(colours.hare),
        "b/person.jpeg": colours.jpeg(colours.person),
        "a/nothing.jpg": colours.jpeg(colours.blank),
        "faint.jpg": colours.jpeg(colours.faint_deer),
        "broken.jpg": b"no image",
        "empty.png": b"",
        "half.jpg": colours.jpeg(colours.hare, (400, 400))[:700],
        "clip.mp4": b"video",
        "notes.txt": b"text",
        ".hidden.jpg": b"",
        ".thumbnails/x.jpg": b"",
        "sørsandfjorden é.jpg": colours.jpeg(colours.red_deer),
    }
    for name, data in images.items():
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return tmp_path / "images"


def test_a_folder(folder: Path, tmp_path: Path, colours: Any) -> None:
    manifest = colours.two_stage(tmp_path / "release")
    steps: list[tuple[int, int]] = []
    out = tmp_path / "deep" / "results.json"
    summary = predict_folder(
        folder,
        tmp_path / "release",
        out,
        progress=lambda done, total: steps.append((done, total)),
        batch=3,
        threads=1,
    )
    results = json.loads(out.read_text())
    check_format(results)
    images = {image["file"]: image for image in results["images"]}
    assert list(images) == [
        "a/nothing.jpg",
        "b/hare.JPG",
        "b/person.jpeg",
        "broken.jpg",
        "empty.png",
        "faint.jpg",
        "half.jpg",
        "sørsandfjorden é.jpg",
    ]
    assert {name for name, image in images.items() if "failure" in image} == {"broken.jpg", "empty.png", "half.jpg"}
    species = {name: number for number, name in results["classification_categories"].items()}
    assert {"hare", "rabbit", "red_deer"} <= set(species)
    assert "person" not in species
    (hare,) = images["b/hare.JPG"]["detections"]
    assert (hare["category"], hare["bbox"]) == ("1", [0.25, 0.25, 0.5, 0.5])
    assert hare["classifications"] == [[species["rabbit"], hare["conf"]]]
    (person,) = images["b/person.jpeg"]["detections"]
    assert person["category"] == "2"
    assert "classifications" not in person
    assert images["a/nothing.jpg"]["detections"] == []
    assert images["b/person.jpeg"]["varanger"]["private"]
    assert images["faint.jpg"]["varanger"]["route"] == "global>all_experts"
    assert results["info"]["detector_metadata"]["varanger_release"] == manifest.release_id
    assert (summary.images, summary.failed, summary.ignored) == (8, 3, 2)
    assert summary.labels == {"rabbit": 1, "red_deer": 2, "person": 1, "blank": 1}
    assert steps == [(3, 8), (6, 8), (8, 8)]
    assert [file.name for file in out.parent.iterdir()] == ["results.json"]


def test_only_the_folder_itself(folder: Path, tmp_path: Path, colours: Any) -> None:
    colours.two_stage(tmp_path / "release")
    summary = predict_folder(folder, tmp_path / "release", tmp_path / "r.json", recursive=False, threads=1)
    assert summary.images == 5


def test_faint_boxes_follow_for_a_lower_threshold(tmp_path: Path, colours: Any) -> None:
    colours.two_stage(tmp_path / "release")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "dim.jpg").write_bytes(colours.jpeg((50, 0, 0)))
    predict_folder(tmp_path / "images", tmp_path / "release", tmp_path / "r.json", threads=1)
    (image,) = json.loads((tmp_path / "r.json").read_text())["images"]
    assert image["varanger"]["label"] == "large_0"
    assert len(image["detections"]) == 1
    (tmp_path / "images" / "dim.jpg").write_bytes(colours.jpeg((0, 0, 15)))
    predict_folder(tmp_path / "images", tmp_path / "release", tmp_path / "r.json", threads=1)
    (image,) = json.loads((tmp_path / "r.json").read_text())["images"]
    assert image["varanger"]["label"] == "blank"
    assert [0.1 <= box["conf"] < 0.25 for box in image["detections"]] == [True]


def test_a_classifiers_answers(tmp_path: Path, colours: Any) -> None:
    colours.classifier(tmp_path / "release")
    (tmp_path / "images").mkdir()
    for name, colour in (("lemming", colours.hare), ("none", colours.red_deer), ("fog", colours.person)):
        (tmp_path / "images" / f"{name}.jpg").write_bytes(colours.jpeg(colour))
    predict_folder(tmp_path / "images", tmp_path / "release", tmp_path / "r.json", threads=1)
    results = json.loads((tmp_path / "r.json").read_text())
    check_format(results)
    fog, lemming, none = results["images"]
    assert results["classification_categories"] == {"1": "lemming"}
    assert lemming["detections"][0]["bbox"] == [0, 0, 1, 1]
    assert none["detections"] == []
    assert "bad_quality" in fog["failure"]


def test_an_empty_folder_gives_an_empty_list(tmp_path: Path, colours: Any) -> None:
    colours.two_stage(tmp_path / "release")
    (tmp_path / "images").mkdir()
    predict_folder(tmp_path / "images", tmp_path / "release", tmp_path / "r.json", threads=1)
    assert json.loads((tmp_path / "r.json").read_text())["images"] == []


def test_what_is_wrong_is_told_before_the_first_image(folder: Path, tmp_path: Path, colours: Any) -> None:
    with pytest.raises(NotADirectoryError):
        predict_folder(tmp_path / "nowhere", tmp_path, tmp_path / "r.json")
    with pytest.raises(ReleaseInvalid, match="release folder"):
        predict_folder(folder, tmp_path / "nowhere", tmp_path / "r.json")
    manifest = colours.two_stage(tmp_path / "release")
    (tmp_path / "release" / manifest.stages["global"].path).write_bytes(b"other")
    with pytest.raises(ReleaseInvalid, match="global"):
        predict_folder(folder, tmp_path / "release", tmp_path / "r.json")
    assert not (tmp_path / "r.json").exists()
