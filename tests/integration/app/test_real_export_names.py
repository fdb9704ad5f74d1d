"""Names that published tools gave to real files, from the raw files through the whole embedded way."""

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from varanger.client import VarangerClient

BOHNER = "smallmammal_reconyx_sm750"
LOCALITY = "vestre_jakobselv"
CAMTRAPR = "camtrapR/sample_images_species_tag"


@pytest.fixture
def client(up: Any, varanger: Any) -> Any:
    up.start()
    key = varanger("key", "create", "--project", "*", "--scope", "admin", "--data", str(up.data)).stdout.strip()
    with VarangerClient(up.url, key) as opened:
        yield opened


def take_in(client: VarangerClient, up: Any, project: str, folder: Path, **deployment: str) -> int:
    """Each folder below is a site; how many media there are now. Sent backwards: numbers do not come from arrival."""
    client.create_project(project)
    sent = 0
    for site in sorted(path for path in folder.iterdir() if path.is_dir()):
        client.put_deployment(project, site.name, location_id=site.name, **deployment)
        files = sorted((path for path in site.rglob("*") if path.is_file()), reverse=True)
        client.upload(project, site.name, files, below=site)
        sent += len(files)
    up.until(lambda: client.stats(project).media == sent)
    return sent


def read(table: Path, **form: Any) -> list[dict[str, str]]:
    with table.open(newline="") as lines:
        return list(csv.DictReader(lines, **form))


def test_bohners_raw_files_get_the_names_and_times_that_were_published(
    client: VarangerClient, up: Any, sample_data: Path, tmp_path: Path
) -> None:
    raw, expected = sample_data / BOHNER / "raw_images" / LOCALITY, sample_data / BOHNER / "expected"
    assert take_in(client, up, "tundra", raw, location_name=LOCALITY) == 200
    client.export_names("tundra", tmp_path / "names.csv", template="bohner")
    given = {(row["deployment"], row["original_path"]): row["export_name"] for row in read(tmp_path / "names.csv")}
    published = {
        (Path(row["SourceFile"]).parts[-3], "/".join(Path(row["SourceFile"]).parts[-2:])): row["NewFileName"]
        for listed in (expected / "metadata").rglob("*.txt")
        for row in read(listed, delimiter="\t")
    }
    assert given == published

    client.final_table("tundra", tmp_path / "final.csv", names="bohner")
    columns = ("locality", "site", "date", "time", "image_name")
    ours = {tuple(row[name] for name in columns) for row in read(tmp_path / "final.csv")}
    [table] = (expected / "formatted_data").glob("*.txt")
    theirs = {tuple(row[name] for name in columns) for row in read(table, delimiter=" ")}
    assert len(theirs) == 200
    assert ours == theirs


def test_camtraprs_own_sample_gets_its_names_again(
    client: VarangerClient, up: Any, sample_data: Path, tmp_path: Path
) -> None:
    take_in(client, up, "borneo", sample_data / CAMTRAPR)
    client.export_names("borneo", tmp_path / "names.csv", template="camtrapr")
    rows = read(tmp_path / "names.csv")
    assert len(rows) == 31
    numbers = defaultdict(int)
    for row in rows:
        assert row["export_name"] == row["original_path"]
        numbers[row["export_name"].partition("(")[2]] += 1
    assert dict(numbers) == {"1).JPG": 25, "2).JPG": 4, "3).JPG": 2}
