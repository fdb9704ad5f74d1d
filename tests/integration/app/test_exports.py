"""`varanger export`, against a gateway: tables, and files under other tools' names."""

import csv
import hashlib
from pathlib import Path
from typing import Any

import pytest

from varanger.client import VarangerClient
from varanger.fieldsim import SeasonPlan, draw_season


@pytest.fixture
def project(up: Any, varanger: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VarangerClient:
    """A project with two sites, whose key is in the environment."""
    season = draw_season(SeasonPlan(seed=4, sites=2, images=16, faults={"no_date": 1}), tmp_path / "season")
    up.start()
    key = varanger("key", "create", "--project", "*", "--scope", "admin", "--data", str(up.data)).stdout.strip()
    monkeypatch.setenv("VARANGER_URL", up.url)
    monkeypatch.setenv("VARANGER_KEY", key)
    with VarangerClient(up.url, key) as client:
        client.create_project("p")
        for camera in season.deployments:
            client.put_deployment("p", camera.deployment_id, location_id=camera.location_id)
            client.upload_folder("p", camera.deployment_id, season.folder / camera.folder)
        up.until(lambda: client.stats("p").media == 17)
        yield client


def read(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_tables_and_files_bear_the_same_names_and_a_second_export_replaces_nothing(
    project: VarangerClient, varanger: Any, tmp_path: Path
) -> None:
    names, table, folder = tmp_path / "names.csv", tmp_path / "final.csv", tmp_path / "out"
    options = ("--project", "p", "--template", "bohner")
    varanger("export", "names", *options, "--out", str(names))
    varanger("export", "final-table", *options, "--out", str(table))
    said = varanger("export", "media", *options, "--out", str(folder)).stdout
    assert "brought 17, kept 0, left out 0" in said
    rows = read(names)
    assert len(rows) == 17
    assert {row["image_name"] for row in read(table)} == {row["export_name"] for row in rows}
    assert read(folder / "names.csv") == rows
    for row in rows:
        assert hashlib.sha256((folder / row["export_name"]).read_bytes()).hexdigest() == row["sha256"]
    assert len(list(folder.iterdir())) == 18

    first, second = sorted(folder.glob("*.JPG"))[:2]
    first.unlink()
    second.write_bytes(b"somebody's own")
    done = varanger("export", "media", *options, "--out", str(folder), check=False)
    assert done.returncode == 1
    assert "brought 1, kept 15, left out 1" in done.stdout
    assert f"{second.name}: another content has this name here" in done.stdout
    assert first.exists()
    assert second.read_bytes() == b"somebody's own"


def test_what_a_key_may_not_look_at_is_left_out_and_named(
    project: VarangerClient, up: Any, varanger: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = varanger("key", "create", "--project", "p", "--scope", "read", "--data", str(up.data)).stdout.strip()
    monkeypatch.setenv("VARANGER_KEY", key)
    done = varanger("export", "media", "--project", "p", "--out", str(tmp_path / "out"), check=False)
    assert done.returncode == 1
    assert "brought 0, kept 0, left out 17" in done.stdout
    assert done.stdout.count("nothing has looked at this image yet") == 17
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["names.csv"]


def test_an_unknown_template_is_refused_with_those_there_are(varanger: Any, tmp_path: Path) -> None:
    done = varanger("export", "names", "--project", "p", "--template", "latin", "--out", "x", check=False)
    assert done.returncode == 2
    assert "camtrapr" in done.stderr
