import hashlib
from datetime import timedelta

import pytest

from varanger.api.application import direct_upload
from varanger.api.application.accept_upload import Sender
from varanger.api.application.partial_uploads import Ports, direct_key
from varanger.common.catalog.tables import Deployment, PartialUpload
from varanger.common.clock import now
from varanger.common.errors import DependencyDown, ObjectMissing
from varanger.common.words import Lane


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


async def test_a_copy_that_could_not_be_read_is_not_left_behind(house, monkeypatch):
    """A client that asks again every minute would fill the store with copies, each kept for a day."""

    class PutTogetherBefore:
        async def parts(self, *_):
            raise ObjectMissing("the multipart upload is over")

    async def cut(*_):
        raise DependencyDown("cut")

    upload = PartialUpload(
        project_id="tundra",
        deployment_id="north-1",
        kind=direct_upload.KIND,
        original_path="a.mp4",
        lane=Lane.LIVE,
        bytes=5,
        sha256="ab" * 32,
        store_upload_id="the store's",
        expires_at=now() + timedelta(hours=1),
    )
    await house.objects.put(direct_key(upload), b"video")
    [deployment] = await house.rows(Deployment)
    sender, ports = Sender(deployment, Lane.LIVE, "a test", ""), Ports(house.catalog, house.objects)
    monkeypatch.setattr(direct_upload, "_read", cut)
    for _ in range(3):
        with pytest.raises(DependencyDown):
            await direct_upload.complete(ports, PutTogetherBefore(), upload, sender, {})
    assert house.stored_keys() == [direct_key(upload)]
