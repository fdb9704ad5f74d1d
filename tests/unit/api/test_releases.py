from varanger.common.catalog.tables import DeadLetterRow, Outbox, Upload
from varanger.common.messages import Envelope

RELEASES = "/v1/projects/tundra/releases"


async def test_releases_are_listed_with_the_one_in_force(house):
    first = await house.put_in_force("fox")
    second = await house.put_in_force("fox", "hare")
    listed = (await house.get(RELEASES)).json()
    assert {each["release_id"]: each["in_force"] for each in listed} == {first: True, second: False}
    whole = (await house.get(f"{RELEASES}/{second}")).json()
    assert whole["manifest"]["stages"]["classifier"]["classes"] == ["fox", "hare"]
    assert (await house.get(f"{RELEASES}/{'0' * 64}")).status_code == 404


async def test_promotion_is_compare_and_swap(house):
    first = await house.put_in_force("fox")
    second = await house.put_in_force("fox", "hare")
    promoted = await house.post(f"{RELEASES}/{second}/promote", {"expected_current": first})
    assert promoted.status_code == 200
    late = await house.post(f"{RELEASES}/{second}/promote", {"expected_current": first})
    assert late.status_code == 409
    assert late.json()["current"] == second
    assert (await house.post(f"{RELEASES}/{'0' * 64}/promote", {"expected_current": second})).status_code == 404
    assert (await house.post(f"{RELEASES}/{first}/promote", {})).status_code == 422
    assert (await house.post(f"{RELEASES}/{first}/promote", {"expected_current": second}, "review")).status_code == 403
    back = await house.post(f"{RELEASES}/rollback", {"expected_current": second})
    assert (back.status_code, back.json()["release_id"]) == (200, first)
    again = await house.post(f"{RELEASES}/rollback", {"expected_current": second})
    assert again.status_code == 409
    assert again.json()["current"] == first
    promotions = (await house.get("/v1/projects/tundra/promotions")).json()
    assert [each["kind"] for each in promotions] == ["rollback", "promote", "promote"]


async def test_dead_letters_are_listed_and_replayed_once(house):
    await house.upload(("a.jpg", b"a"))
    [upload] = await house.rows(Upload)
    [owed] = await house.rows(Outbox)
    letter = DeadLetterRow(
        project_id="tundra",
        queue="ingest.live",
        type="media.uploaded.v1",
        media_id=upload.media_id,
        body=owed.body,
        reason="RuntimeError: out of luck",
    )
    unreadable = DeadLetterRow(queue="ingest.live", body=b"\xff{", reason="BadMessage: body")
    async with house.catalog.writing() as session:
        session.add_all([letter, unreadable])
    listed = (await house.get("/v1/dead-letters")).json()
    assert len(listed) == 2
    assert Envelope.from_body(listed[0]["body"].encode()).payload.media_id == upload.media_id
    wanted = {"dead_letter_ids": [str(letter.dead_letter_id)]}
    assert (await house.post("/v1/dead-letters/replay", wanted, "read")).status_code == 403
    assert (await house.post("/v1/dead-letters/replay", wanted)).json() == {"replayed": 1}
    assert (await house.post("/v1/dead-letters/replay", wanted)).json() == {"replayed": 0}
    assert len((await house.get("/v1/dead-letters")).json()) == 1
    whole = (await house.get(f"/v1/media/{upload.media_id}")).json()
    assert whole["state"] == "pending"
    assert whole["faults"][0]["replayed_at"] is not None


async def test_a_projects_key_sees_and_replays_its_own_dead_letters_alone(house):
    from varanger.api.application.keys import create_key
    from varanger.api.domain.access import Scope

    house.keys["taiga"] = await create_key(house.catalog, scopes=[Scope.ADMIN], project_id="taiga")
    letter = DeadLetterRow(project_id="tundra", queue="ingest.live", body=b"{}", reason="x")
    async with house.catalog.writing() as session:
        session.add(letter)
    assert (await house.get("/v1/dead-letters", "taiga")).json() == []
    wanted = {"dead_letter_ids": [str(letter.dead_letter_id)]}
    assert (await house.post("/v1/dead-letters/replay", wanted, "taiga")).json() == {"replayed": 0}
