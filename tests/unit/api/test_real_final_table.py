"""The table of Böhner 2023's own images, made from their workflow's own outputs, against the one they published."""

import csv
from datetime import datetime

from varanger.api.domain.export_names import ExportedFile, Namer, Template
from varanger.api.domain.final_table import COLUMNS, MachineAnswer, PersonsAnswer, TableImage, rows

EXPECTED = "smallmammal_reconyx_sm750/expected"


def _read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=" "))


def test_the_published_table_comes_out_but_for_its_zeros_where_nobody_looked(sample_data):
    published = _read(next((sample_data / EXPECTED / "formatted_data").glob("*.txt")))
    assert tuple(published[0]) == COLUMNS
    classes = sorted({row["class_id"] for row in published})
    images: dict[str, list[dict[str, str]]] = {}
    for row in published:
        images.setdefault(row["image_name"], []).append(row)
    made = [line for name, group in images.items() for line in rows(_image(name, group, classes), classes)]
    assert len(made) == len(published) == 800
    for ours, theirs in zip(made, published, strict=True):
        line = dict(zip(COLUMNS, ours, strict=True))
        if theirs["observer_manual"] == "NA":
            # Their known fault: 0 where nobody looked.
            assert (theirs.pop("presence_manual"), line.pop("presence_manual")) == ("0", "NA")
        assert float(line.pop("confidence_automatic", "nan").replace("NA", "-1")) == float(
            theirs.pop("confidence_automatic").replace("NA", "-1")
        )
        assert line == theirs


def _image(name, group, classes) -> TableImage:
    first = group[0]
    seen = {row["class_id"]: float(row["confidence_automatic"]) for row in group if row["presence_automatic"] == "1"}
    person = None
    if first["observer_manual"] != "NA":
        said = frozenset(row["class_id"] for row in group if row["presence_manual"] == "1")
        person = PersonsAnswer(said, first["observer_manual"], first["type_manual_classification"])
    return TableImage(
        first["locality"],
        first["site"],
        datetime.fromisoformat(f"{first['date']}T{first['time']}"),
        name,
        MachineAnswer(seen, frozenset(classes)),
        person,
    )


def test_their_names_follow_from_site_and_capture_time(sample_data):
    for listed in sorted((sample_data / EXPECTED / "metadata").rglob("*.txt")):
        with listed.open(newline="") as file:
            images = list(csv.DictReader(file, delimiter="\t"))
        site = listed.stem.removeprefix("metadata_").removesuffix("_2020")
        files = {_file(site, image): image["NewFileName"] for image in images}
        assert dict(Namer(Template.BOHNER, [(site, None, site)]).names(files)) == files


def _file(site, image) -> ExportedFile:
    first, _, _ = image["Sequence"].partition(" ")
    return ExportedFile(
        media_id="",
        name="a.jpg",
        location_id=site,
        camera_id=None,
        deployment_id=site,
        local_time=datetime.strptime(image["DateTimeOriginal"], "%Y:%m:%d %H:%M:%S"),
        sub_seconds=None,
        sequence_number=int(first) or None,
        original_path=image["FileName"],
        sha256="",
    )
