"""Read a simulated season's truth (``truth.json``), as the field simulator leaves it beside the images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from varanger.trainer.domain.dataset import DatasetInvalid, LabelledBox, LabelledImage

TRUTH = "truth.json"


def read_season(folder: Path) -> list[LabelledImage]:
    """Read every ordinary image of a season; its odd files teach nothing.

    Raises:
        DatasetInvalid: no truth in the folder, or one of another form.
    """
    file = folder / TRUTH
    try:
        truth: dict[str, Any] = json.loads(file.read_bytes())
        sites = {row["deployment_id"]: str(row["location_id"]) for row in truth["deployments"]}
        return [_image(folder, row, sites[row["deployment_id"]]) for row in truth["media"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetInvalid(f"{file}: {type(error).__name__}: {error}") from error


def _image(folder: Path, row: dict[str, Any], site: str) -> LabelledImage:
    boxes = tuple(
        LabelledBox(box["taxon"], (box["x_min"], box["y_min"], box["width"], box["height"])) for box in row["boxes"]
    )
    seen = {box.label for box in boxes}
    unboxed = tuple(taxon for taxon, _ in row["observations"] if taxon not in seen)
    return LabelledImage(folder / row["path"], site, str(row["event"]), boxes, unboxed)
