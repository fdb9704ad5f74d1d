import base64

import httpx
import pytest

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Caller, Scope, hash_key
from varanger.api.gateway.app import create_app
from varanger.common.catalog.tables import ApiKey
from varanger.common.clock import now


def _basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anna:{key}".encode()).decode()}


async def test_a_key_is_shown_once_and_kept_as_a_hash(house):
    key = await create_key(house.catalog, scopes=[Scope.READ, Scope.UPLOAD], project_id="tundra", label="north")
    rows = await house.rows(ApiKey)
    [row] = [row for row in rows if row.label == "north"]
    assert (row.key_sha256, row.scopes, row.project_id) == (hash_key(key), ["read", "upload"], "tundra")
    assert key not in repr(rows)
    with pytest.raises(ValueError, match="at least one"):
        await create_key(house.catalog, scopes=[])


async def test_a_revoked_key_is_refused(house):
    async with house.catalog.writing() as session:
        for row in await house.rows(ApiKey):
            session.add(row)
            row.revoked_at = now()
    assert (await house.get("/v1/projects")).status_code == 401


@pytest.mark.parametrize(
    ("own", "may"),
    [
        (Scope.UPLOAD, {Scope.UPLOAD}),
        (Scope.READ, {Scope.READ}),
        (Scope.REVIEW, {Scope.READ, Scope.REVIEW}),
        (Scope.ADMIN, set(Scope)),
    ],
)
def test_what_each_scope_allows(own, may):
    caller = Caller("x", "tundra", frozenset({own}))
    assert {scope for scope in Scope if caller.may(scope, "tundra")} == may
    assert not any(caller.may(scope, "taiga") for scope in Scope)


async def test_a_browsers_dialogue_may_look_and_never_change(house):
    headers = _basic(house.keys["admin"])
    assert (await house.client.get("/v1/projects", headers=headers)).status_code == 200
    assert (await house.client.post("/v1/projects", json={"project_id": "x"}, headers=headers)).status_code == 401
    asked = await house.client.get("/", headers={"accept": "text/html"})
    assert asked.headers["www-authenticate"].startswith("Basic")
    assert (await house.client.get("/v1/projects")).headers["www-authenticate"].startswith("Bearer")


async def _ask(house, path="/", *, method="GET", client="127.0.0.1", host="localhost:8000", local=True, **headers):
    gateway = house.app.state.gateway
    app = create_app(gateway.settings, house.catalog, house.objects, gateway.bus, local_reader=local)
    transport = httpx.ASGITransport(app, client=(client, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as asking:
        return (await asking.request(method, path, headers={"host": host} | headers)).status_code


async def test_a_person_on_this_machine_may_look_without_a_key(house):
    assert await _ask(house) == 200
    assert await _ask(house, "/v1/media") == 200
    assert await _ask(house, client="::1", host="[::1]:8000") == 200


async def test_nobody_else_may(house):
    assert await _ask(house, local=False) == 401
    assert await _ask(house, client="10.0.0.7") == 401
    assert await _ask(house, host="evil.example") == 401
    assert await _ask(house, host="127.0.0.1.evil.example:8000") == 401
    assert await _ask(house, **{"x-forwarded-for": "10.0.0.7"}) == 401
    assert await _ask(house, "/v1/projects", method="POST") == 401
    assert await _ask(house, "/v1/dead-letters/replay", method="POST") == 401


async def test_a_local_person_does_not_see_people_without_a_key(house):
    from varanger.common.words import Prediction

    await house.put_in_force("person")
    media_id = await house.take_in("p.jpg", None, Prediction(label="person", confidence=0.9, route="g", private=True))
    assert await _ask(house, f"/v1/media/{media_id}/view") == 403
