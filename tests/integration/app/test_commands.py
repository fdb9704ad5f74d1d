"""What an ecologist or an operator does on the command line, against a running embedded mode."""

import json
from pathlib import Path
from typing import Any

import pytest

from varanger.client import VarangerClient
from varanger.fieldsim import SeasonPlan, draw_season

PROJECT = ("--project", "p")


@pytest.fixture
def project(up: Any, varanger: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VarangerClient:
    """One site, a media without a date and a file in quarantine; the key is in the environment."""
    season = draw_season(SeasonPlan(seed=5, sites=1, images=6, faults={"no_date": 1}), tmp_path / "season")
    (season.folder / season.deployments[0].folder / "notes.jpg").write_bytes(b"no image")
    up.start()
    limits = ("--requests-per-minute", "6000", "--bytes-per-hour", "1000000000")
    made = varanger("key", "create", "--project", "*", "--scope", "admin", *limits, "--data", str(up.data))
    key = made.stdout.strip()
    monkeypatch.setenv("VARANGER_URL", up.url)
    monkeypatch.setenv("VARANGER_KEY", key)
    monkeypatch.setenv("COLUMNS", "240")
    with VarangerClient(up.url, key) as client:
        client.create_project("p")
        client.put_deployment("p", "d", location_id="north", time_zone="Europe/Oslo")
        client.upload_folder("p", "d", season.folder / season.deployments[0].folder)
        up.until(lambda: (client.stats("p").media, client.stats("p").quarantined) == (7, 1))
        yield client


def test_clocks_dates_and_the_quarantine_are_mended_by_command(project: VarangerClient, up: Any, varanger: Any) -> None:
    def shown() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(varanger("deployment", "show", "d", *PROJECT).stdout)
        return found

    def clock(*words: str) -> Any:
        varanger("deployment", "clock", "d", *PROJECT, *words)
        up.until(lambda: project.deployment("p", "d").applied)
        return shown()["clock_correction"]

    assert "north" in varanger("deployment", "list", *PROJECT).stdout
    before = {one.media_id: one for one in project.media("p", state="media")}
    assert clock("--offset", "3600", "--gap", "5") == {"kind": "offset", "seconds": 3600.0}
    after = {one.media_id: one for one in project.media("p", state="media")}
    assert {one.clock_correction_s for one in after.values() if one.captured_at} == {3600.0}
    assert {one.name for one in after.values()} == {one.name for one in before.values()}
    assert shown()["event_gap_s"] == 5
    points = ("2026-05-01T10:00:00=2026-05-01T10:00:05", "2026-06-01T10:00:00=2026-06-01T10:00:10")
    assert [point["true"][-2:] for point in clock("--drift", *points)["points"]] == ["05", "10"]
    assert clock("--wrong-year", "-2") == {"kind": "wrong_year", "years": -2}
    assert clock("--wrong-zone", "Etc/GMT-1", "--zone", "Europe/Paris")["camera_zone"] == "Etc/GMT-1"
    assert shown()["time_zone"] == "Europe/Paris"
    assert clock("--none") is None

    [undated] = [one for one in after.values() if one.captured_at is None]
    [event] = [one for one in project.events("p") if one.event_id == undated.event_id]
    assert (event.event_start, event.event_end, event.media_count) == (None, None, 1)
    said = varanger("media", "set-date", undated.media_id, "2026-06-01T12:00:00").stdout
    assert "2026-06-01 12:00:00 in Europe/Paris" in said
    assert "date_by_person" in project.one_media(undated.media_id).flags

    [held] = project.quarantine("p")
    assert held.media_id in varanger("quarantine", "list", *PROJECT).stdout
    assert "notes.jpg (8 bytes): quarantined" in varanger("quarantine", "show", held.media_id).stdout
    assert "on its way again, for d" in varanger("quarantine", "release", held.media_id).stdout
    up.until(lambda: project.stats("p").quarantined == 1)
    assert project.stats("p").received == 8


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "say what to change"),
        (("--offset", "5", "--none"), "one correction at a time"),
        (("--drift", "yesterday", "today"), "CAMERA=TRUE"),
    ],
)
def test_a_correction_that_says_nothing_or_too_much_is_refused(
    varanger: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], named: str
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    done = varanger("deployment", "clock", "d", *PROJECT, *words, check=False)
    assert done.returncode == 2
    assert named in done.stderr


def test_what_the_gateway_refuses_is_one_sentence_that_names_the_field(project: VarangerClient, varanger: Any) -> None:
    done = varanger("deployment", "clock", "d", *PROJECT, "--wrong-zone", "Norway/Oslo", check=False)
    assert done.returncode == 1
    assert "camera_zone" in done.stderr
    assert "Traceback" not in done.stderr
