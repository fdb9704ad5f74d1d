"""Read labelled images from folders: COCO Camera Traps, YOLO labels, simulated seasons."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from varanger.trainer.adapters.season import read_season
from varanger.trainer.domain.dataset import DatasetInvalid, LabelledBox, LabelledImage
from varanger.trainer.domain.spec import DatasetSource

#: COCO Camera Traps names for "nothing here".
_BLANK_NAMES = frozenset({"empty", "blank"})
_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def dataset_folder(url: str) -> Path:
    """Turn a ``file://`` URL or a plain path into a folder.

    Raises:
        DatasetInvalid: another scheme, or no such folder.
    """
    parsed = urlparse(url)
    if parsed.scheme not in {"", "file"}:
        raise DatasetInvalid(f"dataset.url: {url} is not a local folder")
    folder = Path(unquote(parsed.path)) if parsed.scheme else Path(url)
    if not folder.is_dir():
        raise DatasetInvalid(f"dataset.url: {folder} is not a folder")
    return folder


def read_dataset(source: DatasetSource) -> list[LabelledImage]:
    """Read a dataset in the format its source names.

    Returns:
        images sorted by path.

    Raises:
        DatasetInvalid: a file is missing or malformed; the text says which.
    """
    folder = dataset_folder(source.url)
    if source.format == "coco_camera_traps":
        images = _read_coco(folder, folder / source.annotations)
    elif source.format == "yolo":
        images = _read_yolo(folder)
    else:
        images = read_season(folder)
    if not any(image.boxes for image in images):
        raise DatasetInvalid(f"dataset.url: {folder} holds no labelled box")
    return sorted(images, key=lambda image: str(image.path))


def _read_coco(folder: Path, annotations: Path) -> list[LabelledImage]:
    try:
        document: dict[str, Any] = json.loads(annotations.read_bytes())
        names = {row["id"]: str(row["name"]) for row in document["categories"]}
        by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for row in document["annotations"]:
            by_image[row["image_id"]].append(row)
        return [_coco_image(folder, row, by_image[row["id"]], names) for row in document["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetInvalid(f"{annotations}: {type(error).__name__}: {error}") from error


def _coco_image(
    folder: Path, row: dict[str, Any], annotations: list[dict[str, Any]], names: dict[Any, str]
) -> LabelledImage:
    width, height = float(row["width"]), float(row["height"])
    boxes: list[LabelledBox] = []
    unboxed: list[str] = []
    for annotation in annotations:
        label = names[annotation["category_id"]]
        if label in _BLANK_NAMES:
            continue
        if annotation.get("bbox"):
            x, y, box_width, box_height = (float(value) for value in annotation["bbox"])
            boxes.append(LabelledBox(label, _inside(x / width, y / height, box_width / width, box_height / height)))
        else:
            unboxed.append(label)
    # Without a sequence an image is its own event; without a location the dataset cannot be divided by site.
    event = str(row.get("seq_id") or row["id"])
    return LabelledImage(
        folder / row["file_name"], str(row.get("location", "unknown")), event, tuple(boxes), tuple(unboxed)
    )


def _read_yolo(folder: Path) -> list[LabelledImage]:
    """Read ``images/<…>/<site or class>/<event>/<file>`` beside ``labels/<same>.txt`` and ``classes.txt``."""
    try:
        classes = [line.strip() for line in (folder / "classes.txt").read_text().splitlines() if line.strip()]
    except OSError as error:
        raise DatasetInvalid(f"{folder / 'classes.txt'}: {error.strerror}") from error
    answer: list[LabelledImage] = []
    for path in sorted((folder / "images").rglob("*")):
        if path.suffix.lower() not in _IMAGE_SUFFIXES:
            continue
        place = path.relative_to(folder / "images")
        label_file = folder / "labels" / place.with_suffix(".txt")
        parents = place.parts[:-1]
        event = "/".join(parents) if parents else place.stem
        site = "/".join(parents[:-1]) if len(parents) > 1 else event
        answer.append(LabelledImage(path, site, event, _yolo_boxes(label_file, classes)))
    return answer


def _yolo_boxes(file: Path, classes: list[str]) -> tuple[LabelledBox, ...]:
    """Read one label file: ``class x_centre y_centre width height`` per line, shares; no file means a blank."""
    if not file.exists():
        return ()
    boxes: list[LabelledBox] = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            index, x, y, width, height = line.split()
            corner = (float(x) - float(width) / 2, float(y) - float(height) / 2)
            boxes.append(LabelledBox(classes[int(index)], _inside(*corner, float(width), float(height))))
        except (ValueError, IndexError) as error:
            raise DatasetInvalid(f"{file}:{number}: {line!r} is no label of {len(classes)} classes") from error
    return tuple(boxes)


def _inside(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Cut a box to the image, as shares."""
    left, top = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
    return left, top, min(max(x + width, 0.0), 1.0) - left, min(max(y + height, 0.0), 1.0) - top
