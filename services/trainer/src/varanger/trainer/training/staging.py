"""Lay labelled images out as ultralytics reads them: one folder per model, images decoded and scaled once for all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from varanger.trainer.domain.dataset import LabelledBox, LabelledImage
from varanger.trainer.training.letterbox import read_image


@dataclass(frozen=True, slots=True)
class StagedImages:
    """Scaled copies of a dataset's images, by original path.

    Attributes:
        side: of the model's square, pixels.
        files: the copies.
        damaged: images that do not decode to their end, sorted. Grey where the box says there is an animal teaches
            what is not so.
    """

    side: int
    files: Mapping[Path, Path]
    damaged: tuple[Path, ...]

    def whole(self, images: Iterable[LabelledImage]) -> list[LabelledImage]:
        """Those that have a copy, in their order."""
        return [image for image in images if image.path in self.files]


def stage_images(images: Sequence[LabelledImage], folder: Path, side: int) -> StagedImages:
    """Write each image as PNG, its long side scaled to the model's; truncated and otherwise damaged ones are left out.

    Args:
        images: of every side of the split.
        folder: made where it is missing.
        side: of the square input, pixels.

    Raises:
        FileNotFoundError: an image of the dataset is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[Path, Path] = {}
    damaged: list[Path] = []
    for index, image in enumerate(images):
        file = folder / f"{index:06d}.png"
        try:
            picture = read_image(image.path, side)
        except FileNotFoundError:
            raise
        except (OSError, ImportError):
            # Pillow's word for data that end early, and for what is no image at all; for the latter ultralytics, which
            # replaces Pillow's `open`, asks for a HEIF reader first.
            damaged.append(image.path)
            continue
        scale = side / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture.resize(size, Image.Resampling.BILINEAR).save(file, compress_level=1)
        files[image.path] = file
    return StagedImages(side, files, tuple(sorted(damaged)))


def write_model_dataset(
    folder: Path,
    staged: StagedImages,
    classes: Sequence[str],
    sides: Mapping[str, Sequence[tuple[LabelledImage, Sequence[LabelledBox]]]],
) -> Path:
    """Write one model's images and labels.

    Args:
        folder: of this model.
        staged: scaled images, linked rather than copied where the file system can.
        classes: in the order of the model's class indices.
        sides: ``train`` and ``val``: each image with the boxes this model is taught.

    Returns:
        the dataset's YAML file (JSON is YAML).
    """
    for side, rows in sides.items():
        (folder / "images" / side).mkdir(parents=True)
        (folder / "labels" / side).mkdir(parents=True)
        for image, boxes in rows:
            source = staged.files[image.path]
            _link(source, folder / "images" / side / source.name)
            lines = [_label_line(classes.index(box.label), box) for box in boxes]
            (folder / "labels" / side / f"{source.stem}.txt").write_text("".join(lines))
    document = {
        "path": str(folder.resolve()),
        "train": "images/train",
        "val": "images/val",
        "names": dict(enumerate(classes)),
    }
    file = folder / "dataset.yaml"
    # JSON objects have string keys, YAML's reader wants whole numbers as class indices: write that part by hand.
    names = "".join(f"  {index}: {json.dumps(label)}\n" for index, label in enumerate(classes))
    head = "".join(f"{key}: {json.dumps(value)}\n" for key, value in document.items() if key != "names")
    file.write_text(f"{head}names:\n{names}")
    return file


def _label_line(index: int, box: LabelledBox) -> str:
    left, top, width, height = box.bbox
    return f"{index} {left + width / 2:.6f} {top + height / 2:.6f} {width:.6f} {height:.6f}\n"


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        target.write_bytes(source.read_bytes())
