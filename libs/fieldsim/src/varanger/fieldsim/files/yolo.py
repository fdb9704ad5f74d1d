"""Lays a season out for training a detector: linked images, label files and `data.yaml`, split by site."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from varanger.fieldsim.season import Season
from varanger.fieldsim.species import CLASSES


def write_yolo(season: Season, folder: Path, *, holdout_sites: int, classes: Sequence[str] = CLASSES) -> Path:
    """Writes a YOLO dataset; the images of the last `holdout_sites` sites become `val`, the others `train`.

    Boxes of taxa that are not in `classes` are left out; their images stay, as background.

    Args:
        season: A season whose images lie in its folder.
        folder: Where `images/`, `labels/` and `data.yaml` go; images are symbolic links.
        holdout_sites: Number of sites no training image comes from.
        classes: Class names in the order of their numbers.

    Returns:
        The path of `data.yaml`.

    Raises:
        ValueError: If no site would be left to train on, or none to validate on.
    """
    locations = sorted({deployment.location_id for deployment in season.deployments})
    if not 0 < holdout_sites < len(locations):
        raise ValueError(f"cannot hold {holdout_sites} of {len(locations)} sites out")
    held_out = set(locations[-holdout_sites:])
    places = {deployment.deployment_id: deployment.location_id for deployment in season.deployments}
    numbers = {name: number for number, name in enumerate(classes)}
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
    for media in season.media:
        split = "val" if places[media.deployment_id] in held_out else "train"
        name = media.path.replace("/", "__").rsplit(".", 1)[0]
        link = folder / "images" / split / f"{name}.jpg"
        link.unlink(missing_ok=True)
        link.symlink_to((season.folder / media.path).resolve())
        lines = [
            f"{numbers[box.taxon]} {box.x_min + box.width / 2:.6f} {box.y_min + box.height / 2:.6f} "
            f"{box.width:.6f} {box.height:.6f}\n"
            for box in media.boxes
            if box.taxon in numbers
        ]
        (folder / "labels" / split / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    data = folder / "data.yaml"
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(classes))
    # a JSON string is a YAML string: quotes keep odd paths whole
    path = json.dumps(str(folder.resolve()))
    data.write_text(f"path: {path}\ntrain: images/train\nval: images/val\nnames:\n{names}", encoding="utf-8")
    return data
