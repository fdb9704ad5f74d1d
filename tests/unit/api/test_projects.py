import pytest

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Scope

DEPLOYMENT = {
    "deployment_id": "south-1",
    "location_id": "south",
    "location_name": "South bog",
    "latitude": 70.1,
    "longitude": 28.9,
    "camera_id": "cam-7",
    "camera_model": "Reconyx SM750",
    "camera_setup": "tunnel",
    "habitat": "bog",
    "start": "2026-06-01T10:00:00+02:00",
    "end": "2026-09-01T10:00:00+02:00",
    "blind_periods": [{"start": "2026-07-01T00:00:00Z", "end": "2026-07-02T00:00:00Z", "reason": "snow"}],
    "time_zone": "Europe/Oslo",
    "clock_correction": {"kind": "offset", "seconds": -3600},
    "event_gap_s": 120.0,
}
BACKWARDS = {"start": "2026-07-02T00:00:00Z", "end": "2026-07-01T00:00:00Z"}
DEPLOYMENTS = "/v1/projects/tundra/deployments"


async def test_a_project_is_made_once_and_found(house):
    made = await house.post("/v1/projects", {"project_id": "taiga", "title": "Taiga"})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/projects/taiga"
    assert (await house.get("/v1/projects/taiga")).json()["title"] == "Taiga"
    assert (await house.post("/v1/projects", {"project_id": "taiga"})).status_code == 409
    assert [each["project_id"] for each in (await house.get("/v1/projects")).json()] == ["taiga", "tundra"]
    assert (await house.get("/v1/projects/steppe")).status_code == 404


async def test_a_projects_key_sees_its_project_alone(house):
    await house.post("/v1/projects", {"project_id": "taiga"})
    house.keys["taiga"] = await create_key(house.catalog, scopes=[Scope.ADMIN], project_id="taiga")
    assert [each["project_id"] for each in (await house.get("/v1/projects", "taiga")).json()] == ["taiga"]
    assert (await house.get("/v1/projects/tundra", "taiga")).status_code == 403
    assert (await house.get(DEPLOYMENTS, "taiga")).status_code == 403
    assert (await house.get("/v1/media", "taiga", project="tundra")).status_code == 403
    assert (await house.post("/v1/projects", {"project_id": "other"}, "taiga")).status_code == 403


async def test_a_deployment_comes_back_as_it_was_given(house):
    made = await house.post(DEPLOYMENTS, DEPLOYMENT)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"{DEPLOYMENTS}/south-1"
    found = (await house.get(f"{DEPLOYMENTS}/south-1")).json()
    assert found["start"] == "2026-06-01T08:00:00Z"
    assert found["blind_periods"] == DEPLOYMENT["blind_periods"]
    for name in (
        "location_name",
        "latitude",
        "camera_setup",
        "time_zone",
        "clock_correction",
        "event_gap_s",
        "habitat",
    ):
        assert found[name] == DEPLOYMENT[name]
    assert (await house.post(DEPLOYMENTS, DEPLOYMENT)).status_code == 409
    assert len((await house.get(DEPLOYMENTS)).json()) == 2


async def test_put_makes_and_changes(house):
    fields = {name: value for name, value in DEPLOYMENT.items() if name != "deployment_id"}
    url = f"{DEPLOYMENTS}/south-1"
    headers = house.auth()
    assert (await house.client.put(url, json=fields, headers=headers)).status_code == 201
    changed = await house.client.put(url, json=fields | {"habitat": "fen"}, headers=headers)
    assert (changed.status_code, changed.json()["habitat"]) == (200, "fen")
    assert (await house.client.put(url, json=fields, headers=house.auth("upload"))).status_code == 403


@pytest.mark.parametrize(
    ("change", "field", "fix"),
    [
        ({"time_zone": "CET+1"}, "time_zone", "Europe/Oslo"),
        ({"time_zone": "../../etc/passwd"}, "time_zone", "Europe/Oslo"),
        ({"latitude": 91}, "latitude", "90"),
        ({"latitude": None}, "", "give both or neither"),
        ({"start": "2026-06-01T10:00:00"}, "start", "offset"),
        ({"start": "yesterday"}, "start", "datetime"),
        ({"end": "2025-01-01T00:00:00Z"}, "", "end must be later than start"),
        ({"locaton_name": "x"}, "", "did you mean 'location_name'?"),
        ({"location_id": ""}, "location_id", "at least 1"),
        ({"deployment_id": "a/b"}, "deployment_id", "pattern"),
        (
            {"blind_periods": [{"start": "2026-07-02T00:00:00Z", "end": "2026-07-01T00:00:00Z"}]},
            "blind_periods.0",
            "end",
        ),
    ],
)
async def test_a_deployment_that_does_not_fit_is_refused_with_field_and_fix(house, change, field, fix):
    answer = await house.post(DEPLOYMENTS, DEPLOYMENT | change)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert field in error["field"]
    assert fix in error["problem"]
    assert fix in answer.json()["detail"]


async def test_a_body_that_is_no_json_is_refused(house):
    answer = await house.client.post(
        DEPLOYMENTS, content=b"{oops", headers=house.auth() | {"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_held_in_memory_is_capped_before_it_is_held(house):
    taken = 0

    async def flood():
        nonlocal taken
        for _ in range(4096):
            taken += 1 << 20
            yield bytes(1 << 20)

    answer = await house.client.post("/v1/projects", content=flood(), headers=house.auth())
    assert answer.status_code == 413
    assert str(16 << 20) in answer.json()["detail"]
    assert taken < 128 << 20
