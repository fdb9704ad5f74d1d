"""Keeps the truth beside the images: `truth.json` to be read back whole, `truth.csv` for spreadsheets."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from varanger.fieldsim.plan import CameraSetup, SeasonPlan
from varanger.fieldsim.season import Season, SimulatedDeployment, SimulatedFault, SimulatedMedia, TrueBox

TRUTH_JSON: Final = "truth.json"
TRUTH_CSV: Final = "truth.csv"
_COLUMNS: Final = (
    "path",
    "deployment_id",
    "location_id",
    "camera_setup",
    "captured_at",
    "event",
    "capture_method",
    "night",
    "expected",
    "fault",
    "taxon",
    "count",
)


def write_truth(season: Season, path: Path) -> None:
    """Writes one row for each taxon in each file (`blank`, 0 where there is none) as CSV, UTF-8."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        writer.writerows(_rows(season))


def _rows(season: Season) -> Iterator[tuple[str | int, ...]]:
    places = {deployment.deployment_id: deployment for deployment in season.deployments}
    for media in season.media:
        place = places[media.deployment_id]
        for taxon, count in media.observations or (("blank", 0),):
            yield (
                media.path,
                media.deployment_id,
                place.location_id,
                place.camera_setup,
                media.captured_at.isoformat(timespec="milliseconds"),
                media.event,
                media.capture_method,
                int(media.night),
                media.expected,
                "",
                taxon,
                count,
            )
    for fault in season.faults:
        place = places[fault.deployment_id]
        where = (fault.path, fault.deployment_id, place.location_id, place.camera_setup)
        yield (*where, "", "", "", "", fault.expected, fault.kind, "", "")


def write_season(season: Season) -> None:
    """Writes `truth.json` and `truth.csv` into the season's folder."""
    mappings = {"faults": dict(season.plan.faults), "species_weights": dict(season.plan.species_weights)}
    content = {
        "plan": {**_plain(season.plan), **mappings},
        "deployments": [_plain(deployment) for deployment in season.deployments],
        "media": [_plain(media) for media in season.media],
        "faults": [_plain(fault) for fault in season.faults],
    }
    text = json.dumps(content, default=_as_text, separators=(",", ":"))
    (season.folder / TRUTH_JSON).write_text(text + "\n", encoding="utf-8")
    write_truth(season, season.folder / TRUTH_CSV)


def read_season(folder: Path) -> Season:
    """Reads back what `draw_season` wrote into a folder.

    Raises:
        FileNotFoundError: If the folder holds no `truth.json`.
    """
    content = json.loads((folder / TRUTH_JSON).read_text(encoding="utf-8"))
    return Season(
        folder=folder,
        plan=_read_plan(content["plan"]),
        deployments=tuple(_read_deployment(record) for record in content["deployments"]),
        media=tuple(_read_media(record) for record in content["media"]),
        faults=tuple(SimulatedFault(**record) for record in content["faults"]),
    )


def _plain(record: SeasonPlan | SimulatedDeployment | SimulatedMedia | SimulatedFault) -> dict[str, Any]:
    """The fields of a record; unlike `asdict` it leaves read-only mappings for the caller."""
    plain: dict[str, Any] = {}
    for one in fields(record):
        value = getattr(record, one.name)
        if one.name in ("boxes", "setups"):
            value = [asdict(item) for item in value]
        plain[one.name] = value
    return plain


def _as_text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _read_plan(record: dict[str, Any]) -> SeasonPlan:
    setups = tuple(CameraSetup(**{**setup, "size": tuple(setup["size"])}) for setup in record["setups"])
    start, burst = date.fromisoformat(record["start"]), tuple(record["burst_length"])
    return SeasonPlan(**{**record, "setups": setups, "start": start, "burst_length": burst})


def _read_deployment(record: dict[str, Any]) -> SimulatedDeployment:
    start, end = datetime.fromisoformat(record["start"]), datetime.fromisoformat(record["end"])
    return SimulatedDeployment(**{**record, "start": start, "end": end})


def _read_media(record: dict[str, Any]) -> SimulatedMedia:
    changed = {
        "captured_at": datetime.fromisoformat(record["captured_at"]),
        "observations": tuple((taxon, count) for taxon, count in record["observations"]),
        "boxes": tuple(TrueBox(**box) for box in record["boxes"]),
    }
    return SimulatedMedia(**{**record, **changed})
