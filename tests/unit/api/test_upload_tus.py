"""tus 1.0.0 (https://tus.io/protocols/resumable-upload), each MUST of it, without sockets."""

import asyncio
import base64
import hashlib
from datetime import timedelta
from email.utils import parsedate_to_datetime
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from varanger.api.application import resumable_upload
from varanger.api.application.keys import create_key
from varanger.api.application.tidy_partial_uploads import tidy_partial_uploads
from varanger.api.domain.access import Scope
from varanger.api.gateway import tus_protocol
from varanger.api.gateway.problems import Problem
from varanger.common.catalog.tables import MediaHistory, Outbox, PartialUpload, Upload
from varanger.common.clock import now
from varanger.common.errors import DependencyDown
from varanger.common.settings import Settings

URL = "/v1/uploads/tus"
PHOTO = b"a photo of a fox, in several pieces"


def b64(data: bytes | str) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


class TusUser:
    """The requests of a client, one by one."""

    def __init__(self, house, key: str | None = None) -> None:
        self.house = house
        self.headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {key or house.keys['upload']}"}

    async def ask(self, method: str, path: str, *, params=None, content=None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.house.client.request(
            method, path, params=params, content=content, headers=self.headers | named
        )

    async def create(self, length: int, sha256: str = "", content=None, query=None, **headers: str) -> httpx.Response:
        told = f"filename {b64('DCIM/100RECNX/IMG_0001.JPG')}" + (f",sha256 {b64(sha256)}" if sha256 else "")
        params = {"project": "tundra", "deployment": "north-1"} | (query or {})
        given = {"Upload_Length": str(length), "Upload_Metadata": told} | headers
        return await self.ask("POST", URL, params=params, content=content, **given)

    async def begin(self, length: int, sha256: str = "") -> str:
        answer = await self.create(length, sha256)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    async def patch(self, at: str, offset: int, data, **headers: str) -> httpx.Response:
        kind = {"Content_Type": "application/offset+octet-stream", "Upload_Offset": str(offset)}
        return await self.ask("PATCH", at, content=data, **(kind | headers))

    async def head(self, at: str) -> httpx.Response:
        return await self.ask("HEAD", at)


@pytest.fixture
def user(house) -> TusUser:
    return TusUser(house)


async def test_what_was_told_at_the_creation_is_told_again(user):
    told = f"filename {b64('../ä/IMG_0001.JPG')},is_confidential,filetype {b64('image/jpeg')}"
    at = (await user.create(5, Upload_Metadata=told)).headers["location"]
    assert (await user.head(at)).headers["upload-metadata"] == told
    assert (await user.patch(at, 0, b"photo")).status_code == 204
    assert (await user.head(at)).headers["upload-metadata"] == told


async def test_a_file_in_pieces_is_accepted_like_any_other(house, user):
    created = await user.create(len(PHOTO), hashlib.sha256(PHOTO).hexdigest())
    assert created.status_code == 201
    at = created.headers["location"]
    assert parsedate_to_datetime(created.headers["upload-expires"]) > now() + timedelta(days=6)
    first = await user.patch(at, 0, PHOTO[:10])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "10")
    assert "upload-expires" in first.headers
    assert "varanger-verdict" not in first.headers
    head = await user.head(at)
    assert (head.status_code, head.headers["upload-offset"], head.headers["upload-length"]) == (200, "10", "35")
    assert head.headers["cache-control"] == "no-store"
    last = await user.patch(at, 10, PHOTO[10:])
    assert (last.status_code, last.headers["upload-offset"]) == (204, "35")
    [upload] = await house.rows(Upload)
    assert last.headers["varanger-verdict"] == "accepted"
    assert last.headers["varanger-media-id"] == str(upload.media_id)
    assert last.headers["varanger-sha256"] == upload.sha256 == hashlib.sha256(PHOTO).hexdigest()
    assert (upload.original_path, upload.bytes, upload.state) == ("DCIM/100RECNX/IMG_0001.JPG", 35, "pending")
    assert house.stored_keys() == [upload.incoming_key]
    assert await house.objects.get(upload.incoming_key) == PHOTO
    assert len(await house.rows(Outbox)) == 1
    [line] = await house.rows(MediaHistory)
    assert (line.what, line.by) == ("received", "upload")


async def test_a_lost_last_answer_is_told_again(house, user):
    at = await user.begin(len(PHOTO))
    last = await user.patch(at, 0, PHOTO)
    for again in (await user.head(at), await user.patch(at, len(PHOTO), b"")):
        assert again.is_success
        for name in ("varanger-verdict", "varanger-media-id", "varanger-sha256", "upload-offset"):
            assert again.headers[name] == last.headers[name]
    assert (await user.patch(at, 0, PHOTO)).status_code == 409
    assert len(await house.rows(Upload)) == 1


async def test_known_content_ends_as_a_duplicate(house, user):
    await house.upload(("a.jpg", PHOTO))
    at = await user.begin(len(PHOTO), hashlib.sha256(PHOTO).hexdigest())
    last = await user.patch(at, 0, PHOTO)
    assert last.headers["varanger-verdict"] == "duplicate"
    first, second = await house.rows(Upload)
    assert last.headers["varanger-media-id"] == str(first.media_id)
    assert (second.state, second.duplicate_of) == ("duplicate", first.media_id)
    assert house.stored_keys() == [first.incoming_key]


async def test_an_empty_file_is_done_when_it_is_created(house, user):
    created = await user.create(0)
    assert (created.status_code, created.headers["varanger-verdict"]) == (201, "accepted")
    assert [upload.bytes for upload in await house.rows(Upload)] == [0]


async def test_the_first_bytes_may_come_with_the_creation(house, user):
    created = await user.create(len(PHOTO), content=PHOTO[:7], Content_Type="application/offset+octet-stream")
    assert (created.status_code, created.headers["upload-offset"]) == (201, "7")
    last = await user.patch(created.headers["location"], 7, PHOTO[7:])
    assert last.headers["varanger-verdict"] == "accepted"


async def test_what_is_spoken_here(house, user):
    del user.headers["Tus-Resumable"]
    for path in (URL, f"{URL}/{uuid4()}"):
        answer = await user.ask("OPTIONS", path)
        assert answer.status_code == 204
        assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
        assert answer.headers["tus-max-size"] == str(4 << 20)
        assert set(answer.headers["tus-checksum-algorithm"].split(",")) == {"sha1", "sha256", "md5"}
        spoken = set(answer.headers["tus-extension"].split(","))
        assert spoken == {"creation", "creation-with-upload", "expiration", "termination", "checksum"}


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.0, 0.2.2"])
async def test_another_version_changes_nothing(house, user, version):
    at = await user.begin(5)
    del user.headers["Tus-Resumable"]
    said = {"Tus_Resumable": version} if version else {}
    for answer in (
        await user.create(5, **said),
        await user.ask("HEAD", at, **said),
        await user.patch(at, 0, b"fives", **said),
        await user.ask("DELETE", at, **said),
    ):
        assert (answer.status_code, answer.headers["tus-version"]) == (412, "1.0.0")
    [row] = await house.rows(PartialUpload)
    assert (row.offset, row.state) == (0, "open")


@pytest.mark.parametrize(
    ("headers", "status", "named"),
    [
        ({"Upload_Length": "-1"}, 400, "Upload-Length"),
        ({"Upload_Length": ""}, 400, "Upload-Length"),
        ({"Upload_Length": "1.5"}, 400, "Upload-Length"),
        ({"Upload_Length": "9" * 30}, 400, "Upload-Length"),
        ({"Upload_Defer_Length": "1"}, 400, "Upload-Defer-Length"),
        ({"Upload_Length": str((4 << 20) + 1)}, 413, str(4 << 20)),
        ({"Upload_Metadata": ""}, 400, "filename"),
        ({"Upload_Metadata": "filename"}, 400, "filename"),
        ({"Upload_Metadata": "filename a.jpg"}, 400, "filename"),
        ({"Upload_Metadata": f"filename {b64('a.jpg')},sha256 {b64('abc')}"}, 400, "sha256"),
        ({"Content_Type": "image/jpeg"}, 415, "application/offset+octet-stream"),
    ],
)
async def test_a_bad_creation_names_what_is_wrong(house, user, headers, status, named):
    answer = await user.create(5, **headers)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["detail"]
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert await house.rows(PartialUpload) == []


@pytest.mark.parametrize(
    ("headers", "status", "named"),
    [
        ({"Content_Type": "application/octet-stream"}, 415, "application/offset+octet-stream"),
        ({"Content_Encoding": "gzip"}, 415, "gzip"),
        ({"Upload_Offset": "x"}, 400, "Upload-Offset"),
        ({"Upload_Offset": "3"}, 409, "stands at 0"),
        ({"Upload_Checksum": f"crc32 {b64('abcd')}"}, 400, "crc32"),
        ({"Upload_Checksum": "sha1 ???"}, 400, "base64"),
        ({"Upload_Checksum": f"sha1 {b64('short')}"}, 400, "sha1"),
        ({"Upload_Checksum": f"sha1 {b64(hashlib.sha1(b'other').digest())}"}, 460, "sha1"),  # noqa: S324
    ],
)
async def test_a_bad_piece_names_what_is_wrong_and_counts_for_nothing(house, user, headers, status, named):
    at = await user.begin(10)
    answer = await user.patch(at, 0, b"fives", **headers)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["detail"]
    assert (await user.head(at)).headers["upload-offset"] == "0"
    assert house.stored_keys() == []


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
async def test_a_right_checksum_counts(user, algorithm):
    at = await user.begin(10)
    digest = hashlib.new(algorithm, b"fives").digest()
    answer = await user.patch(at, 0, b"fives", Upload_Checksum=f"{algorithm} {b64(digest)}")
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, "5")


async def test_more_than_announced_is_refused(house, user):
    at = await user.begin(5)

    async def six():
        yield b"three"
        yield b"!"

    for data in (b"sixsix", six()):
        answer = await user.patch(at, 0, data)
        assert answer.status_code == 413
        assert "5" in answer.json()["detail"]
    assert (await user.head(at)).headers["upload-offset"] == "0"
    assert house.stored_keys() == []


@given(text=st.text(st.characters(max_codepoint=255)))
def test_headers_are_understood_or_refused(text):
    for read in (tus_protocol.metadata, tus_protocol.checksum, lambda it: tus_protocol.number({"X": it}, "X")):
        for said in (text, f"filename {text}", f"sha1 {text}"):
            try:
                read(said)
            except Problem as problem:
                assert problem.status == 400


@pytest.mark.parametrize("real", ["POST", "GET", "PUT"])
async def test_the_override_is_the_method(user, real):
    at = await user.begin(5)
    kind = {"Content_Type": "application/offset+octet-stream", "Upload_Offset": "0"}
    moved = await user.ask(real, at, content=b"fi", X_HTTP_Method_Override="PATCH", **kind)
    assert (moved.status_code, moved.headers["upload-offset"]) == (204, "2")
    assert (await user.ask(real, at, X_HTTP_Method_Override="DELETE")).status_code == 204
    assert (await user.head(at)).status_code == 410


async def test_an_ended_upload_is_gone_with_its_pieces(house, user):
    at = await user.begin(10)
    await user.patch(at, 0, b"fives")
    assert len(house.stored_keys()) == 1
    assert (await user.ask("DELETE", at)).status_code == 204
    assert house.stored_keys() == []
    for answer in (await user.head(at), await user.patch(at, 5, b"fives"), await user.ask("DELETE", at)):
        assert answer.status_code == 410
        assert "upload-offset" not in answer.headers


async def test_ending_a_finished_upload_leaves_its_file(house, user):
    at = await user.begin(5)
    await user.patch(at, 0, b"fives")
    assert (await user.ask("DELETE", at)).status_code == 204
    [upload] = await house.rows(Upload)
    assert await house.objects.get(upload.incoming_key) == b"fives"


async def test_another_keys_upload_is_not_there(house, user):
    at = await user.begin(5)
    other = TusUser(house, await create_key(house.catalog, scopes=[Scope.ADMIN]))
    for answer in (await other.head(at), await other.patch(at, 0, b"fives"), await other.ask("DELETE", at)):
        assert answer.status_code == 404
    for nobodys in (uuid4(), "no-uuid"):
        assert (await user.head(f"{URL}/{nobodys}")).status_code == 404
    assert (await user.head(at)).headers["upload-offset"] == "0"


async def test_every_method_needs_a_key(house, user):
    at = await user.begin(5)
    for key, status in (("", 401), (house.keys["read"], 403)):
        stranger = TusUser(house, key or "vgr_wrong")
        for answer in (
            await stranger.create(5),
            await stranger.head(at),
            await stranger.patch(at, 0, b"fives"),
            await stranger.ask("DELETE", at),
            await stranger.ask("OPTIONS", URL),
        ):
            assert (answer.status_code, answer.headers["tus-resumable"]) == (status, "1.0.0")


async def test_a_key_of_another_project_and_an_unknown_deployment_are_refused(house, user):
    key = await create_key(house.catalog, scopes=[Scope.UPLOAD], project_id="taiga")
    assert (await TusUser(house, key).create(5)).status_code == 403
    assert (await user.create(5, query={"deployment": "south-9"})).status_code == 404


async def test_other_bytes_than_announced_are_no_file(house, user):
    at = await user.begin(5, hashlib.sha256(b"fives").hexdigest())
    last = await user.patch(at, 0, b"other")
    assert last.status_code == 460
    assert hashlib.sha256(b"other").hexdigest() in last.json()["detail"]
    again = await user.patch(at, 5, b"")
    assert again.status_code == 410
    assert again.json()["detail"] == last.json()["detail"]
    assert house.stored_keys() == []
    assert await house.rows(Upload) == []


async def test_of_two_at_once_exactly_one_advances(house, user):
    at = await user.begin(100)
    answers = await asyncio.gather(*(user.patch(at, 0, bytes([number]) * (number + 1)) for number in range(8)))
    assert sorted(answer.status_code for answer in answers) == [204] + [409] * 7
    [winner] = [number for number, answer in enumerate(answers) if answer.status_code == 204]
    assert (await user.head(at)).headers["upload-offset"] == str(winner + 1)
    [key] = house.stored_keys()
    assert await house.objects.get(key) == bytes([winner]) * (winner + 1)


async def test_pieces_of_one_request_are_counted_as_they_come(house, user, monkeypatch):
    """So that a gateway that is killed loses one piece at most."""
    monkeypatch.setattr(resumable_upload, "PIECE_BYTES", 4)
    at = await user.begin(len(PHOTO))
    seen = []

    async def slow():
        for start in range(0, len(PHOTO), 5):
            yield PHOTO[start : start + 5]
            [row] = await house.rows(PartialUpload)
            seen.append(row.offset)

    last = await user.patch(at, 0, slow())
    assert last.headers["varanger-verdict"] == "accepted"
    assert seen == [4, 8, 12, 20, 24, 28, 32]
    [upload] = await house.rows(Upload)
    assert await house.objects.get(upload.incoming_key) == PHOTO


async def test_another_request_that_overtakes_ends_the_slow_one(house, user, monkeypatch):
    monkeypatch.setattr(resumable_upload, "PIECE_BYTES", 4)
    at = await user.begin(len(PHOTO))

    async def overtaken():
        yield PHOTO[:6]
        assert (await user.patch(at, 4, PHOTO[4:20])).status_code == 204
        yield PHOTO[6:12]

    slow = await user.patch(at, 0, overtaken())
    assert (slow.status_code, slow.headers["upload-offset"]) == (409, "20")
    last = await user.patch(at, 20, PHOTO[20:])
    assert last.headers["varanger-sha256"] == hashlib.sha256(PHOTO).hexdigest()
    assert len(house.stored_keys()) == 1


async def test_too_many_pieces_are_refused(house, user, monkeypatch):
    monkeypatch.setattr(resumable_upload, "MOST_PIECES", 2)
    at = await user.begin(10)
    answers = [await user.patch(at, offset, b"x") for offset in range(3)]
    assert [answer.status_code for answer in answers] == [204, 204, 413]
    assert "larger requests" in answers[2].json()["detail"]


async def test_a_checksum_covers_all_pieces_of_its_request(house, user, monkeypatch):
    monkeypatch.setattr(resumable_upload, "PIECE_BYTES", 4)
    at = await user.begin(len(PHOTO))
    wrong = await user.patch(at, 0, PHOTO[:20], Upload_Checksum=f"sha256 {b64(hashlib.sha256(PHOTO).digest())}")
    assert wrong.status_code == 460
    assert wrong.json()["title"] == "Checksum Mismatch"
    assert house.stored_keys() == []
    right = await user.patch(at, 0, PHOTO, Upload_Checksum=f"sha256 {b64(hashlib.sha256(PHOTO).digest())}")
    assert right.headers["varanger-verdict"] == "accepted"


@pytest.mark.parametrize("cut_at", ["join", "accept", "tidy"])
async def test_a_finish_that_was_cut_short_is_finished_by_the_next_question(house, user, monkeypatch, cut_at):
    at = await user.begin(len(PHOTO))
    await user.patch(at, 0, PHOTO[:20])

    async def down(*_args: object, **_more: object) -> None:
        raise DependencyDown("the store is away")

    with monkeypatch.context() as broken:
        if cut_at == "join":
            broken.setattr(house.objects, "join", down)
        elif cut_at == "accept":
            broken.setattr(resumable_upload, "count_whole", down)
        else:
            broken.setattr(resumable_upload, "remove_pieces", down)
        assert (await user.patch(at, 20, PHOTO[20:])).status_code == 503
    head = await user.head(at)
    assert (head.headers["upload-offset"], head.headers["varanger-verdict"]) == ("35", "accepted")
    [upload] = await house.rows(Upload)
    assert await house.objects.get(upload.incoming_key) == PHOTO
    assert len(await house.rows(Outbox)) == 1


async def test_two_that_finish_at_once_make_one_file(house, user, monkeypatch):
    """As on two gateways, where no lock of a process helps."""
    monkeypatch.setattr(resumable_upload, "_finishing", Unlocked())
    at = await user.begin(len(PHOTO))

    async def down(*_args: object, **_more: object) -> None:
        raise DependencyDown("killed")

    with monkeypatch.context() as broken:
        broken.setattr(house.objects, "join", down)
        assert (await user.patch(at, 0, PHOTO)).status_code == 503
    heads = await asyncio.gather(*(user.head(at) for _ in range(6)))
    assert {head.headers["varanger-verdict"] for head in heads} == {"accepted"}
    [upload] = await house.rows(Upload)
    assert {head.headers["varanger-media-id"] for head in heads} == {str(upload.media_id)}
    assert house.stored_keys() == [upload.incoming_key]


async def test_a_gateway_that_was_overtaken_tells_what_the_other_came_to(house, user, monkeypatch):
    monkeypatch.setattr(resumable_upload, "_finishing", Unlocked())
    at = await user.begin(len(PHOTO))
    join, heads = house.objects.join, []

    async def overtaken(sources, target):
        monkeypatch.setattr(house.objects, "join", join)
        heads.append(await user.head(at))
        return await join(sources, target)

    monkeypatch.setattr(house.objects, "join", overtaken)
    last = await user.patch(at, 0, PHOTO)
    assert heads[0].headers["varanger-verdict"] == last.headers["varanger-verdict"] == "accepted"
    [upload] = await house.rows(Upload)
    assert last.headers["varanger-media-id"] == str(upload.media_id)
    assert house.stored_keys() == [upload.incoming_key]


async def test_pieces_that_are_lost_end_the_upload(house, user):
    at = await user.begin(10)
    await user.patch(at, 0, b"fives")
    [key] = house.stored_keys()
    await house.objects.delete(key)
    last = await user.patch(at, 5, b"fives")
    assert last.status_code == 410
    assert (await user.head(at)).status_code == 410
    assert "begin a new upload" in (await user.patch(at, 10, b"")).json()["detail"]
    assert await house.rows(Upload) == []


class Unlocked(dict):
    def setdefault(self, _key, lock):
        return lock


async def expire(house, days: float) -> None:
    async with house.catalog.writing() as session:
        await session.execute(update(PartialUpload).values(expires_at=now() - timedelta(days=days)))


async def test_an_expired_upload_is_gone_and_tidied(house, user):
    at = await user.begin(10)
    await user.patch(at, 0, b"fives")
    await tidy_partial_uploads(house.catalog, house.objects, 86_400)
    assert len(house.stored_keys()) == 1
    await expire(house, 0.5)
    assert (await user.head(at)).status_code == 410
    await tidy_partial_uploads(house.catalog, house.objects, 86_400)
    assert house.stored_keys() == []
    assert (await user.patch(at, 5, b"fives")).status_code == 410
    await expire(house, 2)
    await tidy_partial_uploads(house.catalog, house.objects, 86_400)
    assert await house.rows(PartialUpload) == []
    assert (await user.head(at)).status_code == 404


async def test_tidying_an_old_finished_upload_leaves_its_file(house, user):
    at = await user.begin(5)
    await user.patch(at, 0, b"fives")
    await expire(house, 2)
    await tidy_partial_uploads(house.catalog, house.objects, 86_400)
    [upload] = await house.rows(Upload)
    assert house.stored_keys() == [upload.incoming_key]


async def test_a_store_that_is_away_costs_nothing_that_counted(house, user, monkeypatch):
    at = await user.begin(10)
    await user.patch(at, 0, b"fives")

    async def down(*_args: object, **_more: object) -> None:
        raise DependencyDown("the store is away")

    with monkeypatch.context() as broken:
        broken.setattr(house.objects, "put", down)
        assert (await user.patch(at, 5, b"fives")).status_code == 503
    assert (await user.head(at)).headers["upload-offset"] == "5"


class TestBulk:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(max_file_bytes=4 << 20, bulk_backlog_limit=0)

    async def test_bulk_is_refused_at_the_creation_while_too_much_waits(self, house, user):
        at = await user.begin(5)
        await house.upload(("a.jpg", b"a"))
        async with house.catalog.writing() as session:
            await session.execute(update(Upload).values(lane="bulk"))
        for name in ("lane", "priority"):
            refused = await user.create(5, query={name: "bulk"})
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
        assert (await user.patch(at, 0, b"fives")).headers["varanger-verdict"] == "accepted"
