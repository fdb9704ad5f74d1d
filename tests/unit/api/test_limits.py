import hashlib

import pytest

from varanger.api.application.keys import create_key
from varanger.api.domain.access import KeyLimits, Scope
from varanger.api.gateway.limits import Limits
from varanger.common.catalog.tables import ApiKey, Upload
from varanger.common.settings import Settings

WHERE = {"project": "tundra", "deployment": "north-1", "path": "a.jpg"}


class Watch:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch(house) -> Watch:
    watch = Watch()
    house.app.state.limits = Limits(KeyLimits(0, 0), watch)
    return watch


async def key_with(house, **limits: int) -> dict[str, str]:
    key = await create_key(house.catalog, scopes=[Scope.ADMIN], limits=KeyLimits(**limits))
    return {"Authorization": f"Bearer {key}"}


def put(house, data: bytes, headers: dict[str, str]):
    url = f"/v1/uploads/sha256/{hashlib.sha256(data).hexdigest()}"
    return house.client.put(url, content=data, params=WHERE, headers=headers)


async def test_a_key_over_its_requests_waits_exactly_as_long_as_it_is_told(house, watch):
    headers = await key_with(house, requests_per_minute=4)
    for _ in range(4):
        assert (await house.client.get("/v1/projects", headers=headers)).status_code == 200
    refused = await house.client.get("/v1/projects", headers=headers)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "15"
    assert "4 requests a minute" in refused.json()["detail"]
    watch.now += 14.9
    assert (await house.client.get("/v1/projects", headers=headers)).status_code == 429
    watch.now += 0.1
    assert (await house.client.get("/v1/projects", headers=headers)).status_code == 200


async def test_one_key_does_not_use_up_another_ones(house, watch):
    headers = await key_with(house, requests_per_minute=1)
    other = await key_with(house, requests_per_minute=1)
    assert (await house.client.get("/v1/projects", headers=headers)).status_code == 200
    assert (await house.client.get("/v1/projects", headers=headers)).status_code == 429
    assert (await house.client.get("/v1/projects", headers=other)).status_code == 200
    assert (await house.get("/v1/projects")).status_code == 200


async def test_bytes_are_charged_as_they_stream_and_the_next_upload_waits(house, watch):
    headers = await key_with(house, bytes_per_hour=3600)
    assert (await put(house, bytes(5400), headers)).status_code == 201
    refused = await put(house, b"next", headers)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1801"
    assert "3600 bytes an hour" in refused.json()["detail"]
    assert len(await house.rows(Upload)) == 1
    assert (await house.client.get("/v1/projects", headers=headers)).status_code == 200
    watch.now += 1801
    assert (await put(house, b"next", headers)).status_code == 201


async def test_bytes_of_a_refused_upload_count_too(house, watch):
    headers = await key_with(house, bytes_per_hour=3600)
    url = f"/v1/uploads/sha256/{'ab' * 32}"
    assert (await house.client.put(url, content=bytes(3600), params=WHERE, headers=headers)).status_code == 422
    assert (await put(house, b"next", headers)).status_code == 429


async def test_forms_and_json_are_charged_too(house, watch):
    headers = await key_with(house, bytes_per_hour=100)
    form = await house.client.post(house.upload_url, files={"files": ("a.jpg", bytes(200))}, headers=headers)
    assert form.status_code == 201
    assert (await house.client.post("/v1/projects", json={"project_id": "p"}, headers=headers)).status_code == 429
    headers = await key_with(house, bytes_per_hour=100)
    body = {"project_id": "p", "title": "x" * 200}
    assert (await house.client.post("/v1/projects", json=body, headers=headers)).status_code == 201
    assert (await put(house, b"next", headers)).status_code == 429


async def test_known_content_costs_only_its_request(house, watch):
    await house.upload(("a.jpg", bytes(5000)))
    headers = await key_with(house, bytes_per_hour=3600)
    assert (await put(house, bytes(5000), headers)).status_code == 200
    assert (await put(house, b"next", headers)).status_code == 201


async def test_health_is_never_limited(house, watch):
    house.app.state.limits = Limits(KeyLimits(1, 1), watch)
    headers = house.auth("read")
    for _ in range(3):
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await house.client.get(path, headers=headers)).status_code == 200


class TestWhoseLimitCounts:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(requests_per_minute=2)

    async def test_a_key_without_its_own_has_the_settings(self, house):
        answers = [await house.get("/v1/projects") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]

    async def test_a_keys_own_limit_beats_it_and_zero_is_none(self, house):
        for limit, statuses in ((1, [200, 429, 429, 429]), (0, [200] * 4)):
            headers = await key_with(house, requests_per_minute=limit)
            answers = [await house.client.get("/v1/projects", headers=headers) for _ in range(4)]
            assert [answer.status_code for answer in answers] == statuses

    async def test_a_changed_limit_counts_from_the_next_request(self, house):
        headers = await key_with(house, requests_per_minute=1)
        assert (await house.client.get("/v1/projects", headers=headers)).status_code == 200
        async with house.catalog.writing() as session:
            row = await session.get(ApiKey, (await house.rows(ApiKey))[-1].key_id)
            row.requests_per_minute = 5
            session.add(row)
        assert (await house.client.get("/v1/projects", headers=headers)).status_code == 200


def test_a_negative_limit_is_refused_by_its_name():
    with pytest.raises(ValueError, match="bytes_per_hour is -1"):
        KeyLimits(bytes_per_hour=-1)
