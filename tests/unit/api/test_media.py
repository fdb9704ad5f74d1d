from datetime import datetime

from varanger.common.messages import MediaQuarantined
from varanger.common.words import Detection, Observation, Prediction

FOX = Prediction(
    label="fox",
    confidence=0.9,
    route="global>expert:large",
    observations=(Observation(taxon="fox", count=2),),
    detections=(
        Detection(stage="global", label="dog", confidence=0.6, bbox=(0.1, 0.2, 0.3, 0.4)),
        Detection(stage="expert:large", label="fox", confidence=0.9, bbox=(0.1, 0.2, 0.3, 0.4)),
    ),
)
BLANK = Prediction(label="blank", confidence=0.8, route="global>all_experts")
PERSON = Prediction(label="person", confidence=0.95, route="global", private=True)


async def test_a_media_carries_what_was_found(house):
    release = await house.put_in_force("fox", "blank")
    media_id = await house.take_in("a.jpg", datetime(2026, 6, 1, 12, 30), FOX)
    [item] = (await house.get("/v1/media", project="tundra")).json()["items"]
    assert item["name"] == "a.jpg"
    assert item["captured_at"] == "2026-06-01T12:30:00"
    assert (item["deployment"], item["state"], item["label"], item["confidence"]) == ("north-1", "media", "fox", 0.9)
    assert item["observations"] == [{"taxon": "fox", "count": 2}]
    assert (item["route"], item["release"], item["private"]) == ("global>expert:large", release, False)
    assert item["detections"][1] == {
        "stage": "expert:large",
        "label": "fox",
        "confidence": 0.9,
        "bbox": [0.1, 0.2, 0.3, 0.4],
    }
    whole = (await house.get(f"/v1/media/{media_id}")).json()
    assert [line["what"] for line in whole["history"]][:2] == ["received", "stored"]
    assert [each["state"] for each in whole["predictions"]] == ["classified"]
    assert whole["predictions"][0]["answer"]["label"] == "fox"
    assert whole["answer_in_force"] is None


async def test_pages_hold_every_file_once_whatever_arrives_meanwhile(house):
    await house.upload(*((f"{n}.jpg", b"%d" % n) for n in range(7)))
    seen, cursor = [], None
    while True:
        page = (await house.get("/v1/media", limit=3, **({"cursor": cursor} if cursor else {}))).json()
        seen += [item["original_name"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        await house.upload((f"late-{cursor}.jpg", cursor.encode()))
    assert sorted(seen) == [f"{n}.jpg" for n in range(7)]
    oldest = (await house.get("/v1/media", limit=500, order="oldest")).json()
    assert oldest["next"] is None
    assert len(oldest["items"]) == 9


FILTERS = [
    ({"label": "fox"}, {"fox.jpg"}),
    ({"state": "pending"}, {"waiting.jpg"}),
    ({"min_confidence": 0.85}, {"fox.jpg", "person.jpg"}),
    ({"max_confidence": 0.85}, {"blank.jpg"}),
    ({"captured_from": "2026-06-02T00:00:00"}, {"blank.jpg"}),
    ({"captured_to": "2026-06-02T00:00:00"}, {"fox.jpg"}),
    ({"route": "global"}, {"person.jpg"}),
    ({"private": "true"}, {"person.jpg"}),
    ({"deployment": "south"}, set()),
    ({"deployment": "north-1", "label": "blank"}, {"blank.jpg"}),
]


async def test_filters(house):
    release = await house.put_in_force("fox", "blank", "person")
    await house.take_in("fox.jpg", datetime(2026, 6, 1, 12), FOX)
    await house.take_in("blank.jpg", datetime(2026, 6, 2, 12), BLANK)
    await house.take_in("person.jpg", None, PERSON)
    await house.upload(("waiting.jpg", b"waiting"))
    for query, found in [*FILTERS, ({"release": release}, {"fox.jpg", "blank.jpg", "person.jpg"})]:
        answer = await house.get("/v1/media", project="tundra", **query)
        assert {item["name"] for item in answer.json()["items"]} == found, query


async def test_a_zone_on_the_cameras_own_time_is_refused(house):
    answer = await house.get("/v1/media", captured_from="2026-06-02T00:00:00Z")
    assert answer.status_code == 422
    assert "captured_from" in answer.json()["detail"]


async def test_counts_add_up(house):
    await house.put_in_force("fox", "blank")
    await house.take_in("fox.jpg", None, FOX)
    await house.take_in("blank.jpg", None, BLANK)
    await house.take_in("asked.jpg")
    await house.upload(("again.jpg", b"fox.jpg"), ("bad.jpg", b"bad"), ("new.jpg", b"new"))
    bad = (await house.get("/v1/media", state="pending", limit=500)).json()["items"]
    [bad_id] = [item["media_id"] for item in bad if item["name"] == "bad.jpg"]
    await house.tell_recorder(
        MediaQuarantined(
            media_id=bad_id,
            deployment_id="north-1",
            key=f"quarantine/tundra/{bad_id}",
            sha256="ee" * 32,
            bytes=3,
            reason="not_an_image",
            detail="text",
        )
    )
    stats = (await house.get("/v1/projects/tundra/stats")).json()
    assert {name: stats[name] for name in ("received", "media", "duplicate", "quarantined", "failed", "pending")} == {
        "received": 6,
        "media": 2,
        "duplicate": 1,
        "quarantined": 1,
        "failed": 0,
        "pending": 2,
    }
    assert stats["by_label"] == {"blank": 1, "fox": 1}
    assert stats["by_route"] == {"global>all_experts": 1, "global>expert:large": 1}
    whole = (await house.get(f"/v1/media/{bad_id}")).json()
    assert whole["faults"][0]["reason"] == "not_an_image"
    assert (await house.get("/v1/projects/nowhere/stats")).status_code == 404


async def test_image_and_view(house):
    await house.put_in_force("fox")
    media_id = await house.take_in("a.jpg", None, FOX)
    image = await house.get(f"/v1/media/{media_id}/image")
    assert (image.content, image.headers["content-type"]) == (b"original of a.jpg", "image/jpeg")
    assert (await house.get(f"/v1/media/{media_id}/view")).content == b"view of a.jpg"
    await house.objects.delete(f"views/tundra/{media_id}.jpg")
    assert (await house.get(f"/v1/media/{media_id}/view")).status_code == 404


async def test_what_nothing_has_looked_at_is_shown_to_reviewers_alone(house):
    media_id = await house.take_in("a.jpg")
    refused = await house.get(f"/v1/media/{media_id}/view")
    assert refused.status_code == 403
    assert "nothing has looked at this image yet" in refused.json()["detail"]
    assert (await house.get(f"/v1/media/{media_id}/view", "review")).status_code == 200


async def test_people_are_shown_to_reviewers_alone(house):
    await house.put_in_force("person")
    media_id = await house.take_in("p.jpg", None, PERSON)
    for path in ("image", "view"):
        assert (await house.get(f"/v1/media/{media_id}/{path}")).status_code == 403
        assert (await house.get(f"/v1/media/{media_id}/{path}", "upload")).status_code == 403
        assert (await house.get(f"/v1/media/{media_id}/{path}", "review")).status_code == 200


async def test_a_file_without_an_image_says_so(house):
    [result] = (await house.upload(("a.jpg", b"a"))).json()["results"]
    answer = await house.get(f"/v1/media/{result['media_id']}/view")
    assert answer.status_code == 404
    assert "pending" in answer.json()["detail"]


async def test_unknown_media(house):
    assert (await house.get("/v1/media/018f0000-0000-7000-8000-000000000000")).status_code == 404
    assert (await house.get("/v1/media/nonsense")).status_code == 422


async def test_a_video_is_one_media_with_a_prediction_for_each_frame(house):
    release = await house.put_in_force("fox", "blank")
    media_id = await house.take_in("clip.mp4", frame_numbers=(0, 30))
    for frame, prediction in ((0, BLANK), (30, FOX)):
        await house.classify(media_id, prediction, frame_number=frame)
    [item] = (await house.get("/v1/media", project="tundra", label="fox", state="media")).json()["items"]
    assert (item["media_id"], item["release"], item["route"]) == (str(media_id), release, FOX.route)
    assert item["observations"] == [{"taxon": "fox", "count": 2}]
    whole = (await house.get(f"/v1/media/{media_id}")).json()
    assert whole["frame_numbers"] == [0, 30]
    assert [(each["frame_number"], each["label"]) for each in whole["predictions"]] == [(0, "blank"), (30, "fox")]
    assert [line["details"].get("frame_number") for line in whole["history"] if line["what"] == "classified"] == [0, 30]
