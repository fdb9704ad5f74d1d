"""Labelled images as training sees them, whatever format they came in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """One animal, person or vehicle with its box.

    Attributes:
        label: class name.
        bbox: ``(x_min, y_min, width, height)``, shares of the image's width and height.
    """

    label: str
    bbox: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image and everything that is known to be in it.

    Attributes:
        path: the image file.
        site: location it was taken at.
        event: trigger burst it belongs to, unique over the dataset.
        boxes: empty for a blank.
        unboxed: classes known to be in the image without a box. Such an image cannot teach a detector (it would take
            the animal for background), but it can still be asked.
    """

    path: Path
    site: str
    event: str
    boxes: tuple[LabelledBox, ...] = ()
    unboxed: tuple[str, ...] = ()

    @property
    def labels(self) -> frozenset[str]:
        """Every class in the image; empty for a blank."""
        return frozenset(box.label for box in self.boxes) | frozenset(self.unboxed)


class DatasetInvalid(ValueError):
    """The dataset cannot be read; the text says where and why."""


def classes_of(images: Iterable[LabelledImage]) -> tuple[str, ...]:
    """Every class that has at least one box, sorted."""
    return tuple(sorted({box.label for image in images for box in image.boxes}))


def dataset_sha256(images: Iterable[LabelledImage]) -> str:
    """Name a dataset by its content: file bytes, boxes, sites and events, whatever the order and the folder."""
    rows = sorted(
        json.dumps(
            [
                hashlib.sha256(image.path.read_bytes()).hexdigest(),
                image.site,
                image.event,
                sorted([box.label, *(round(value, 6) for value in box.bbox)] for box in image.boxes),
                sorted(image.unboxed),
            ]
        )
        for image in images
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
