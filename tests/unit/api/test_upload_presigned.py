import hashlib


async def test_a_folder_cannot_be_written_to_by_url(house):
    body = {
        "project": "tundra",
        "deployment": "north-1",
        "path": "a.jpg",
        "bytes": 5,
        "sha256": hashlib.sha256(b"fives").hexdigest(),
    }
    answer = await house.post("/v1/uploads/presigned", body, scope="upload")
    assert answer.status_code == 501
    assert "/v1/uploads/tus" in answer.json()["detail"]


async def test_it_needs_an_upload_key(house):
    assert (await house.post("/v1/uploads/presigned", {}, scope="read")).status_code == 403
