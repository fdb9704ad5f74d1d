from uuid import UUID, uuid5

from varanger.common.catalog.tables import Deployment, Outbox
from varanger.common.messages import Envelope, MediaQuarantined, MediaUnpacked, MediaUploaded, UnpackedEntry


async def held(house, name: str = "torn.jpg", reason: str = "truncated_image") -> UUID:
    """A file that ingest refused."""
    media_id = UUID((await house.upload((name, name.encode()))).json()["results"][0]["media_id"])
    key = f"quarantine/tundra/{media_id}"
    await house.objects.put(key, name.encode())
    verdict = MediaQuarantined(
        media_id=media_id,
        deployment_id="north-1",
        key=key,
        sha256="ab" * 32,
        bytes=len(name),
        reason=reason,
        detail="it ends early",
    )
    await house.tell_recorder(verdict)
    return media_id


async def release(house, media_id, body=None, scope: str = "review"):
    return await house.post(f"/v1/quarantine/{media_id}/release", body or {}, scope)


async def test_the_list_says_what_is_kept_and_why(house):
    torn, text = await held(house), await held(house, "notes.txt", "wrong_type")
    page = (await house.get("/v1/projects/tundra/quarantine")).json()
    assert [item["media_id"] for item in page["items"]] == [str(torn), str(text)]
    assert page["next"] is None
    item = page["items"][0]
    assert (item["project"], item["deployment"], item["original_name"]) == ("tundra", "north-1", "torn.jpg")
    assert (item["reason"], item["detail"], item["bytes"]) == ("truncated_image", "it ends early", len("torn.jpg"))
    assert (item["released_at"], item["mend"]) == (None, None)
    only = (await house.get("/v1/projects/tundra/quarantine", reason="wrong_type")).json()
    assert [item["media_id"] for item in only["items"]] == [str(text)]
    first = (await house.get("/v1/projects/tundra/quarantine", limit=1)).json()
    rest = (await house.get("/v1/projects/tundra/quarantine", limit=1, cursor=first["next"])).json()
    assert [page["items"][0]["media_id"] for page in (first, rest)] == [str(torn), str(text)]
    assert rest["next"] is None
    assert (await house.get("/v1/projects/tundra/quarantine", deployment="south-1")).json()["items"] == []
    assert (await house.get("/v1/projects/taiga/quarantine", "admin")).status_code == 404
    assert (await house.get("/v1/projects/tundra/quarantine", "upload")).status_code == 403


async def test_the_file_comes_as_an_attachment_and_only_to_reviewers(house):
    media_id = await held(house, "to rn.jpg")
    answer = await house.get(f"/v1/quarantine/{media_id}/file", "review")
    assert answer.content == b"to rn.jpg"
    assert answer.headers["content-disposition"] == 'attachment; filename="to_rn.jpg"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (await house.get(f"/v1/quarantine/{media_id}/file", "read")).status_code == 403
    accepted = (await house.upload(("fine.jpg", b"fine"))).json()["results"][0]["media_id"]
    assert (await house.get(f"/v1/quarantine/{accepted}/file", "review")).status_code == 404


async def test_a_release_answers_at_once_and_the_file_is_pending_again(house):
    async with house.catalog.writing() as session:
        session.add(Deployment(project_id="tundra", deployment_id="south-1", location_id="south"))
    media_id = await held(house)
    said = {"deployment": "south-1", "captured_at": "2024-05-06T07:08:09", "accept_as_is": True}
    answer = await release(house, media_id, said)
    assert answer.status_code == 202
    item = answer.json()
    assert (item["media_id"], item["deployment"]) == (str(media_id), "south-1")
    assert item["mend"] == {"captured_at": "2024-05-06T07:08:09", "accept_as_is": True}
    assert item["released_at"] is not None
    file = (await house.get(f"/v1/media/{media_id}")).json()
    assert (file["state"], file["deployment"]) == ("pending", "south-1")
    line = file["history"][-1]
    assert (line["what"], line["details"]["captured_at"]) == ("released", "2024-05-06T07:08:09")
    assert "review" in line["by"]
    sent = [Envelope.from_body(row.body).payload for row in await house.rows(Outbox)]
    assert [one.intake_number for one in sent if isinstance(one, MediaUploaded)] == [1, 2]
    again = await release(house, media_id)
    assert again.status_code == 409
    assert (again.json()["state"], "'pending'" in again.json()["detail"]) == ("pending", True)


async def test_a_release_that_cannot_be_names_the_field_and_the_fix(house):
    media_id = await held(house)
    for body, named in (
        ({"deployment": "nowhere"}, "deployment: project 'tundra' has none called 'nowhere'; make it first"),
        ({"deployment": "no/where"}, "deployment"),
        ({"captured_at": "0024-05-06T07:08:09"}, "captured_at: the year is 24; give one from 1900 to 2199"),
        ({"captured_at": "2024-05-06T07:08:09+02:00"}, "captured_at: the camera's own time has no zone; leave the"),
        ({"captured_at": "yesterday"}, "captured_at"),
        ({"accept_asis": True}, "did you mean 'accept_as_is'"),
    ):
        answer = await release(house, media_id, body)
        assert answer.status_code == 422
        assert named in answer.json()["detail"]
    assert (await release(house, media_id, scope="read")).status_code == 403
    assert (await release(house, UUID(int=1))).status_code == 404
    assert (await house.get(f"/v1/media/{media_id}")).json()["state"] == "quarantined"


async def test_a_zip_sent_again_is_the_archive_and_the_archive_tells_its_entries(house):
    archive = UUID((await house.upload(("card.zip", b"PK"))).json()["results"][0]["media_id"])
    entries = [
        UnpackedEntry(
            media_id=uuid5(archive, name),
            incoming_key=f"incoming/tundra/{uuid5(archive, name)}",
            sha256=digit * 64,
            bytes=1,
            original_name=name,
            original_path=f"card/{name}",
        )
        for name, digit in (("a.jpg", "1"), ("b.jpg", "2"), ("c.jpg", "2"))
    ]
    await house.tell_recorder(MediaUnpacked(media_id=archive, entries=tuple(entries)))
    again = await house.upload(("card.zip", b"PK"))
    assert again.status_code == 200
    assert (again.json()["results"][0]["verdict"], again.json()["results"][0]["media_id"]) == (
        "duplicate",
        str(archive),
    )
    file = (await house.get(f"/v1/media/{archive}")).json()
    assert (file["state"], file["entries"]) == ("unpacked", [str(entry.media_id) for entry in entries])
    stats = (await house.get("/v1/projects/tundra/stats")).json()
    assert (stats["received"], stats["pending"], stats["duplicate"]) == (4, 2, 2)
    assert "unpacked" not in stats
    listed = (await house.get("/v1/media", state="unpacked")).json()["items"]
    assert [item["media_id"] for item in listed] == [str(archive)]
    assert len((await house.get("/v1/media")).json()["items"]) == 4
