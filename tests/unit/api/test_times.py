"""Times and events through the API: deployments that change, events, dates that a person sets, what a media tells."""

from datetime import datetime

import pytest

from varanger.api.application.apply_deployments import DeploymentApplier
from varanger.common.catalog.tables import Deployment
from varanger.common.messages import MediaMetadata

NORTH = "/v1/projects/tundra/deployments/north-1"
EVENTS = "/v1/projects/tundra/events"
DRIFT = {
    "kind": "drift",
    "points": [
        {"camera": "2026-06-01T12:00:00", "true": "2026-06-01T12:00:00"},
        {"camera": "2026-06-11T12:00:00", "true": "2026-06-11T12:01:00"},
    ],
}


async def patch(house, path, body, scope="admin"):
    return await house.client.patch(path, json=body, headers=house.auth(scope))


async def follow(house) -> None:
    applier = DeploymentApplier(house.catalog, "test")
    while await applier.step():
        pass


async def test_a_media_tells_its_time_in_four_ways_and_what_its_file_says(house):
    await patch(
        house,
        NORTH,
        {
            "time_zone": "Europe/Oslo",
            "clock_correction": {"kind": "offset", "seconds": 30},
            "end": "2026-06-01T09:00:00Z",
        },
    )
    said = MediaMetadata(
        captured_at=datetime(2026, 6, 1, 12),
        sub_seconds=0.25,
        utc_offset="+01:00",
        user_label="bog",
        sequence_number=1,
        sequence_length=3,
        event_number=77,
        temperature_c=-4.5,
        moon_phase=4,
        battery_v=11.9,
        infrared=True,
        exposure_time_s=0.01,
        f_number=2.8,
        iso=400,
        latitude=70.1,
        longitude=28.9,
    )
    media_id = await house.take_in("a.jpg", said=said)
    told = (await house.get(f"/v1/media/{media_id}")).json()
    assert (told["captured_at"], told["sub_seconds"], told["utc_offset"]) == ("2026-06-01T12:00:00", 0.25, "+01:00")
    assert (told["clock_correction_s"], told["captured_at_local"]) == (30, "2026-06-01T12:00:30")
    assert (told["time_zone"], told["captured_at_utc"]) == ("Europe/Oslo", "2026-06-01T10:00:30Z")
    assert told["flags"] == ["offset_disagrees", "after_deployment"]
    fields = said.model_dump(exclude={"captured_at", "exif_data", "reader", "capture_method"}, exclude_none=True)
    assert {name: told[name] for name in fields} == fields
    assert told["duration_s"] is told["frame_rate"] is None
    [waiting] = (await house.upload(("b.jpg", b"b"))).json()["results"]
    pending = (await house.get(f"/v1/media/{waiting['media_id']}")).json()
    assert (pending["captured_at_local"], pending["event_id"], pending["time_zone"]) == (None, None, "Europe/Oslo")


async def test_a_changed_deployment_says_whether_its_media_follow_and_who_changed_it(house):
    media_id = await house.take_in("a.jpg", datetime(2026, 6, 6, 12))
    assert (await house.get(NORTH)).json()["applied"] is True
    changed = await patch(house, NORTH, {"clock_correction": DRIFT})
    assert (changed.status_code, changed.json()["applied"], changed.json()["revision"]) == (200, False, 2)
    assert (await house.get(f"/v1/media/{media_id}")).json()["clock_correction_s"] == 0
    await follow(house)
    assert (await house.get(NORTH)).json()["applied"] is True
    assert (await house.get(f"/v1/media/{media_id}")).json()["captured_at_local"] == "2026-06-06T12:00:30"
    await patch(house, NORTH, {"clock_correction": None, "habitat": "fen"})
    await patch(house, NORTH, {"habitat": "fen"})
    newest, first = (await house.get(f"{NORTH}/history")).json()
    assert (newest["by"], newest["revision"], newest["after"]) == (
        "admin",
        3,
        {"clock_correction": None, "habitat": "fen"},
    )
    assert first["before"] == {"clock_correction": None}
    assert first["after"]["clock_correction"]["kind"] == "drift"


async def test_put_changes_like_patch_and_what_is_not_said_falls_back(house):
    await patch(house, NORTH, {"event_gap_s": 300})
    put = await house.client.put(NORTH, json={"location_id": "north"}, headers=house.auth())
    assert (put.status_code, put.json()["event_gap_s"], put.json()["revision"]) == (200, 60, 3)
    again = await house.client.put(NORTH, json={"location_id": "north"}, headers=house.auth())
    assert again.json()["revision"] == 3
    [row] = await house.rows(Deployment)
    assert (row.revision, row.applied_revision) == (3, 1)


@pytest.mark.parametrize(
    ("change", "field", "fix"),
    [
        ({"clock_correction": {"kind": "slow"}}, "clock_correction", "offset"),
        (
            {"clock_correction": {"kind": "drift", "points": DRIFT["points"][::-1]}},
            "clock_correction.drift",
            "points.1",
        ),
        ({"clock_correction": {"kind": "wrong_zone", "camera_zone": "CET+1"}}, "camera_zone", "Europe/Oslo"),
        ({"time_zone": None}, "time_zone", "string"),
        ({"event_gap_s": -1}, "event_gap_s", "greater"),
        ({"latitude": 70}, "", "give both"),
        ({"end": "2025-01-01T00:00:00Z"}, "", "end must be later than start"),
        ({"location_id": ""}, "location_id", "at least 1"),
        ({"gap": 3}, "", "there is no field 'gap'"),
    ],
)
async def test_a_change_that_does_not_fit_is_refused_with_field_and_fix(house, change, field, fix):
    assert (await patch(house, NORTH, {"start": "2026-01-01T00:00:00Z"})).status_code == 200
    answer = await patch(house, NORTH, change)
    assert answer.status_code == 422, answer.text
    assert any(field in error["field"] and fix in error["problem"] for error in answer.json()["errors"])
    assert (await house.get(NORTH)).json()["revision"] == 2


async def test_only_an_admin_changes_a_deployment_that_is_there(house):
    assert (await patch(house, NORTH, {"habitat": "fen"}, "review")).status_code == 403
    assert (await patch(house, f"{NORTH}0", {"habitat": "fen"})).status_code == 404
    assert (await house.get(f"{NORTH}0/history")).status_code == 404


async def test_events_are_listed_in_pages_and_their_media_found(house):
    for minute in range(5):
        await house.take_in(f"{minute}.jpg", datetime(2026, 6, 1, 12, 2 * minute))
    await house.take_in("burst.jpg", datetime(2026, 6, 1, 12, 0, 30))
    await house.take_in("dateless.jpg")
    items, cursor = [], None
    while True:
        page = (await house.get(EVENTS, limit=2, **({"cursor": cursor} if cursor else {}))).json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [one["media_count"] for one in items] == [2, 1, 1, 1, 1, 1]
    assert items[0]["event_start"] == "2026-06-01T12:00:00Z"
    assert items[0]["event_end"] == "2026-06-01T12:00:30Z"
    assert [items[0]["deployment"], items[0]["capture_method"], items[-1]["event_start"]] == ["north-1", None, None]
    members = (await house.get("/v1/media", event=items[0]["event_id"])).json()["items"]
    assert {one["name"] for one in members} == {"0.jpg", "burst.jpg"}
    assert {one["event_id"] for one in members} == {items[0]["event_id"]}
    assert (await house.get(EVENTS, deployment="south")).json() == {"items": [], "next": None}
    for cursor in ("x", "bm9uc2Vuc2U", "WzEsMiwzXQ"):
        assert "cursor" in (await house.get(EVENTS, cursor=cursor)).json()["detail"]
    assert (await house.get(EVENTS, "upload")).status_code == 403
    assert (await house.get("/v1/projects/taiga/events")).status_code == 404


async def test_a_person_sets_a_date_and_time_and_event_follow_but_no_name(house):
    near = await house.take_in("near.jpg", datetime(2026, 6, 1, 12))
    media_id = await house.take_in("dateless.jpg")
    before = (await house.get(f"/v1/media/{media_id}")).json()
    kept = house.stored_keys()
    changed = await patch(house, f"/v1/media/{media_id}", {"captured_at": "2026-06-01T12:00:20"}, "review")
    assert changed.status_code == 200, changed.text
    told = changed.json()
    assert (told["captured_at"], told["captured_at_utc"]) == ("2026-06-01T12:00:20", "2026-06-01T12:00:20Z")
    assert told["flags"] == ["date_by_person"]
    assert told["event_id"] == (await house.get(f"/v1/media/{near}")).json()["event_id"] != before["event_id"]
    assert told["name"] == before["name"]
    assert house.stored_keys() == kept
    line = told["history"][-1]
    assert (line["what"], line["by"]) == ("date_set", "review")
    assert line["details"] == {"before": None, "after": "2026-06-01T12:00:20"}
    again = await patch(house, f"/v1/media/{media_id}", {"captured_at": "2026-06-01T12:00:20"}, "review")
    assert again.json()["history"] == told["history"]
    assert [one["media_count"] for one in (await house.get(EVENTS)).json()["items"]] == [2]


async def test_a_date_that_does_not_fit_is_refused(house):
    media_id = await house.take_in("a.jpg")
    [waiting] = (await house.upload(("b.jpg", b"b"))).json()["results"]
    url = f"/v1/media/{media_id}"
    for body, fix in (
        ({"captured_at": "2026-06-01T12:00:20Z"}, "no zone"),
        ({"captured_at": "0001-01-01T00:00:00"}, "1900"),
        ({"captured_at": None}, "datetime"),
        ({}, "required"),
        ({"captured": "2026-06-01T12:00:20"}, "did you mean 'captured_at'"),
    ):
        answer = await patch(house, url, body, "review")
        assert answer.status_code == 422
        assert fix in answer.json()["detail"]
    good = {"captured_at": "2026-06-01T12:00:20"}
    assert (await patch(house, url, good, "read")).status_code == 403
    assert "pending" in (await patch(house, f"/v1/media/{waiting['media_id']}", good, "review")).json()["detail"]
