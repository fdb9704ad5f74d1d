"""The embedded mode is a real mode: durable, exclusive, complete after a crash."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

from varanger.client import VarangerClient
from varanger.fieldsim import Season, SeasonPlan, draw_season

FAULTS = {"truncated_jpeg": 1, "text_named_jpg": 1, "empty_file": 1, "png_named_jpg": 1, "no_date": 1, "duplicate": 2}


def season(folder: Path, images: int = 40) -> Season:
    return draw_season(SeasonPlan(seed=5, sites=2, images=images, faults=FAULTS), folder / "season")


def prepare(up: Any, varanger: Any) -> VarangerClient:
    key = varanger("key", "create", "--project", "*", "--scope", "admin", "--data", str(up.data)).stdout.strip()
    client = VarangerClient(up.url, key)
    client.create_project("p")
    varanger("release", "import", "demo", "--project", "p", "--promote", "--data", str(up.data))
    return client


def test_a_kill_in_the_middle_loses_nothing_and_doubles_nothing(up: Any, varanger: Any, tmp_path: Path) -> None:
    drawn = season(tmp_path)
    up.start()
    with prepare(up, varanger) as client:
        for camera in drawn.deployments:
            client.put_deployment("p", camera.deployment_id, location_id=camera.location_id)
            client.upload("p", camera.deployment_id, sorted((drawn.folder / camera.folder).iterdir()))
        up.kill()
        up.start()
        up.until(lambda: client.stats("p").pending == 0)
        stats = client.stats("p")
        expected = Counter(one.expected for one in (*drawn.media, *drawn.faults))
        assert stats.received == sum(expected.values())
        assert {state: getattr(stats, state) for state in expected} == expected
        found = list(client.media("p", state="media"))
        assert all(one.label and one.confidence is not None and one.release for one in found)
        table = tmp_path / "final.csv"
        client.final_table("p", table)
        with table.open() as lines:
            rows = list(csv.DictReader(lines))
        assert {row["image_name"] for row in rows} == {one.name for one in found}
        assert {row["presence_manual"] for row in rows} == {"NA"}, "nobody looked"
    assert up.stop() == 0


def test_a_second_up_on_the_same_folder_is_refused(up: Any, varanger: Any) -> None:
    up.start()
    done = varanger("up", "--data", str(up.data), "--port", "0", check=False)
    assert done.returncode == 1
    assert "another `varanger up` works on" in done.stderr


def test_inspect_tells_media_from_what_is_not(varanger: Any, tmp_path: Path) -> None:
    drawn = season(tmp_path, images=4)
    files = sorted(path for camera in drawn.deployments for path in (drawn.folder / camera.folder).iterdir())
    found = json.loads(varanger("inspect", "--json", *map(str, files)).stdout)
    assert [one["file"] for one in found] == [str(path) for path in files]
    expected = {str(drawn.folder / one.path): one.expected for one in (*drawn.media, *drawn.faults)}
    for one in found:
        if expected[one["file"]] != "duplicate":
            assert one["verdict"] == expected[one["file"]], one
        assert (one["reason"] is None) == (one["verdict"] == "media")
    dated = [one for one in found if one["captured_at"]]
    assert {"sha256", "width", "height", "make", "model", "serial_number", "capture_method"} <= dated[0].keys()


def test_predict_writes_megadetector_json_without_a_server(varanger: Any, tmp_path: Path) -> None:
    drawn = season(tmp_path, images=8)
    out = tmp_path / "results.json"
    varanger("predict", str(drawn.folder), "--release", "demo", "--out", str(out))
    results = json.loads(out.read_text())
    assert results["info"]["format_version"] == "1.6"
    assert set(results["detection_categories"].values()) <= {"animal", "person", "vehicle"}
    by_file = {one["file"]: one for one in results["images"]}
    for one in drawn.media:
        assert "failure" not in by_file[one.path], by_file[one.path]


def test_predict_names_what_is_wrong_with_its_arguments(varanger: Any, tmp_path: Path) -> None:
    done = varanger("predict", str(tmp_path), "--release", str(tmp_path), "--out", "x.json", check=False)
    assert done.returncode == 1
    assert "holds no manifest.json" in done.stderr
