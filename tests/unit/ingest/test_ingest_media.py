import asyncio
import hashlib
import io
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from PIL import Image

from varanger.common.adapters.objects_memory import MemoryObjectStore
from varanger.common.errors import BadMessage, DependencyDown, ObjectMissing, StoreFault
from varanger.common.ids import new_id
from varanger.common.messages import (
    Envelope,
    MediaQuarantined,
    MediaStored,
    MediaUnpacked,
    MediaUploaded,
    Mend,
    ReviewRecorded,
)
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Progress
from varanger.common.words import DeploymentSnapshot, Lane
from varanger.ingest import PRODUCER
from varanger.ingest.adapters.fixed_tags import FixedTags
from varanger.ingest.adapters.pillow_exif import PillowExifReader
from varanger.ingest.application.examine import Examiner
from varanger.ingest.application.ingest_media import IngestMedia

PROJECT = "varanger"
TAGS = {"ExifIFD:DateTimeOriginal": "2024:05:06 07:08:09", "IFD0:Make": "RECONYX"}


class Away(MemoryObjectStore):
    """A store that stops answering when told."""

    down = False

    async def put(self, key, data, *, content_type="application/octet-stream"):
        if self.down:
            raise DependencyDown("the store does not answer")
        await super().put(key, data, content_type=content_type)


@pytest.fixture
def objects():
    return Away()


@pytest.fixture
def ingest(objects, tmp_path):
    workbench = tmp_path / "workbench"
    workbench.mkdir()
    with ThreadPoolExecutor(2) as pool:
        examiner = Examiner(FixedTags(TAGS), Settings(max_pixels=2_000_000))
        yield IngestMedia(objects, examiner, pool=pool, workbench=workbench, progress=Progress(60.0))
    assert list(workbench.iterdir()) == [], "the workbench is left clean"


@pytest.fixture
def upload(objects):
    async def uploaded(data, name="IMG_0001.JPG", **changes):
        media_id = new_id()
        key = f"incoming/{PROJECT}/{media_id}"
        await objects.put(key, data)
        said = {
            "media_id": media_id,
            "deployment": DeploymentSnapshot(deployment_id="D1", location_id="Vestre Jakobselv"),
            "incoming_key": key,
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "original_name": name,
            "uploaded_at": datetime(2024, 6, 1, tzinfo=UTC),
        }
        return Envelope.wrap(
            MediaUploaded(**{**said, **changes}),
            project_id=PROJECT,
            producer="api/test",
            lane=Lane.BULK,
            job_id=new_id(),
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )

    return uploaded


async def keys(objects):
    return [found.key async for found in objects.list("")]


async def test_an_image_becomes_media(ingest, upload, objects, draw):
    data = draw(1600, 900)
    envelope = await upload(data)
    (answer,) = await ingest([envelope])
    digits = hashlib.sha256(data).hexdigest()[:12]
    fact = answer.payload
    assert isinstance(fact, MediaStored)
    assert fact.name == f"Vestre-Jakobselv_20240506_070809_{digits}.jpg"
    assert fact.key == f"media/{PROJECT}/D1/{fact.name}"
    assert fact.view_key == f"views/{PROJECT}/{envelope.payload.media_id}.jpg"
    assert (fact.width, fact.height, fact.bytes, fact.media_type) == (1600, 900, len(data), "image/jpeg")
    assert fact.metadata.captured_at == datetime(2024, 5, 6, 7, 8, 9)
    assert fact.flags == ()
    assert await objects.get(fact.key) == data
    assert Image.open(io.BytesIO(await objects.get(fact.view_key))).size == (1280, 720)
    assert await objects.get(envelope.payload.incoming_key) == data, "nothing is removed before it is recorded"
    for name in ("project_id", "lane", "job_id", "attempt", "traceparent"):
        assert getattr(answer, name) == getattr(envelope, name)
    assert answer.producer == PRODUCER


def hardly_begun(jpeg):
    """Up to the picture's first few bytes."""
    return jpeg[: jpeg.index(b"\xff\xda") + 16]


async def test_a_png_is_stored_under_its_real_extension(ingest, upload, draw):
    (answer,) = await ingest([await upload(draw(kind="PNG"), name="IMG_0001.png")])
    assert answer.payload.name.endswith(".png")


async def test_a_png_named_jpg_waits_for_a_person(ingest, upload, draw):
    (answer,) = await ingest([await upload(draw(kind="PNG"), name="IMG_0001.JPG")])
    assert answer.payload.reason == "extension_mismatch"


async def test_what_is_no_image_is_kept_with_its_reason(ingest, upload, objects, draw, png_bomb):
    bad = {
        b"": "empty_file",
        b"no image at all": "wrong_type",
        bytes(range(256)): "not_an_image",
        hardly_begun(draw()): "truncated_image",
        png_bomb: "decompression_bomb",
    }
    for data, reason in bad.items():
        envelope = await upload(data)
        (answer,) = await ingest([envelope])
        fact = answer.payload
        assert isinstance(fact, MediaQuarantined)
        assert (fact.reason, fact.bytes) == (reason, len(data))
        assert fact.detail
        assert fact.key == f"quarantine/{PROJECT}/{envelope.payload.media_id}"
        assert await objects.get(fact.key) == data
    assert not [key for key in await keys(objects) if key.startswith(("media/", "views/"))]


async def test_bad_files_do_not_stop_a_batch(ingest, upload, draw):
    batch = [await upload(data) for data in (draw(), b"", b"text", draw(80, 60), hardly_begun(draw()))]
    answers = await ingest(batch)
    assert [type(answer.payload) for answer in answers] == [
        MediaStored,
        MediaQuarantined,
        MediaQuarantined,
        MediaStored,
        MediaQuarantined,
    ]
    assert [answer.payload.media_id for answer in answers] == [envelope.payload.media_id for envelope in batch]


async def test_twice_is_the_same_as_once(ingest, upload, objects, draw):
    envelopes = [await upload(draw(200, 150)), await upload(b"text")]
    first = await ingest(envelopes)
    before = {key: await objects.get(key) for key in await keys(objects)}
    second = await ingest(envelopes)
    assert [answer.payload for answer in first] == [answer.payload for answer in second]
    assert {key: await objects.get(key) for key in await keys(objects)} == before


async def test_an_upload_that_was_swept_after_recording_is_no_loss(ingest, upload, objects, draw):
    for data in (draw(), b"text"):
        envelope = await upload(data)
        await ingest([envelope])
        await objects.delete(envelope.payload.incoming_key)
        assert await ingest([envelope]) == []


async def test_an_upload_that_is_gone_without_a_trace_is_a_fault(ingest, upload, objects, draw):
    envelope = await upload(draw())
    await objects.delete(envelope.payload.incoming_key)
    with pytest.raises(ObjectMissing):
        await ingest([envelope])


@pytest.mark.parametrize("changes", [{"sha256": "0" * 64}, {"bytes": 3}])
async def test_bytes_that_are_not_the_accepted_ones_are_the_stores_fault(ingest, upload, objects, draw, changes):
    envelope = await upload(draw(), **changes)
    with pytest.raises(StoreFault):
        await ingest([envelope])
    assert await keys(objects) == [envelope.payload.incoming_key]


async def test_another_message_is_a_bad_message(ingest):
    stray = Envelope.wrap(ReviewRecorded(review_id=new_id(), media_id=new_id()), project_id=PROJECT, producer="api/1")
    with pytest.raises(BadMessage, match="review"):
        await ingest([stray])


async def test_a_store_that_is_down_is_told_before_any_other_fault(ingest, upload, objects, draw):
    good, gone = await upload(draw()), await upload(b"text")
    await objects.delete(gone.payload.incoming_key)
    objects.down = True
    with pytest.raises(DependencyDown):
        await ingest([gone, good])
    objects.down = False
    assert len(await ingest([good])) == 1


async def test_the_event_loop_goes_on_while_a_file_is_examined(objects, upload, draw, tmp_path):
    entered, leave = threading.Event(), threading.Event()

    class Slow(FixedTags):
        def read(self, path):
            entered.set()
            assert leave.wait(30)
            return super().read(path)

    with ThreadPoolExecutor(1) as pool:
        examiner = Examiner(Slow(TAGS), Settings())
        handler = IngestMedia(objects, examiner, pool=pool, workbench=tmp_path, progress=Progress(60.0))
        working = asyncio.create_task(handler([await upload(draw())]))
        assert await asyncio.to_thread(entered.wait, 30)
        turns = [await asyncio.sleep(0, turn) for turn in range(100)]
        assert len(turns) == 100
        assert not working.done()
        leave.set()
        (answer,) = await working
    assert isinstance(answer.payload, MediaStored)


async def test_real_exif_goes_the_whole_way(objects, upload, draw, exif, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        examiner = Examiner(PillowExifReader(), Settings())
        handler = IngestMedia(objects, examiner, pool=pool, workbench=tmp_path, progress=Progress(60.0))
        (answer,) = await handler([await upload(draw(exif=exif(date="2020:01:02 03:04:05", make="MOULTRIE")))])
    assert answer.payload.metadata.make == "MOULTRIE"
    assert Envelope.from_body(answer.to_body()).payload == answer.payload


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


async def test_a_zip_becomes_its_files(ingest, upload, objects, draw):
    files = {"DCIM/IMG_0001.JPG": draw(), "DCIM/IMG_0002.JPG": draw(80, 60), "DCIM/Thumbs.db": b"text"}
    envelope = await upload(zipped(**files), name="card.zip", original_path="north/card.zip")
    (answer,) = await ingest([envelope])
    fact = answer.payload
    assert isinstance(fact, MediaUnpacked)
    assert fact.media_id == envelope.payload.media_id
    assert [entry.original_path for entry in fact.entries] == [f"north/card.zip/{name}" for name in files]
    assert [entry.original_name for entry in fact.entries] == ["IMG_0001.JPG", "IMG_0002.JPG", "Thumbs.db"]
    for entry, data in zip(fact.entries, files.values(), strict=True):
        assert entry.incoming_key == f"incoming/{PROJECT}/{entry.media_id}"
        assert await objects.get(entry.incoming_key) == data
        assert (entry.sha256, entry.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert len({entry.media_id for entry in fact.entries}) == 3
    assert not [key for key in await keys(objects) if key.startswith(("media/", "quarantine/"))]


async def test_unpacking_twice_makes_the_same_files(ingest, upload, objects, draw):
    envelope = await upload(zipped(a=draw(), b=draw(80, 60)), name="card.zip")
    (first,) = await ingest([envelope])
    before = await keys(objects)
    (second,) = await ingest([envelope])
    assert first.payload == second.payload
    assert await keys(objects) == before
    for entry in first.payload.entries:
        await objects.delete(entry.incoming_key)
    await objects.delete(envelope.payload.incoming_key)
    assert await ingest([envelope]) == [], "a late redelivery, all swept"


async def test_a_zip_with_one_broken_file_is_kept_whole(ingest, upload, objects, draw):
    data = bytearray(zipped(good=draw(), bad=draw(80, 60)))
    data[data.rindex(b"\xff\xd9") - 30] ^= 0xFF
    envelope = await upload(bytes(data), name="card.zip")
    (answer,) = await ingest([envelope])
    assert answer.payload.reason == "corrupt_archive"
    assert "bad" in answer.payload.detail
    assert await objects.get(answer.payload.key) == bytes(data)
    assert len(await keys(objects)) == 2, "the upload and its quarantine: nothing was unpacked"


async def test_a_zip_out_of_a_zip_is_not_opened(ingest, upload, draw):
    (answer,) = await ingest([await upload(zipped(a=draw()), name="inner.zip", archive_id=new_id())])
    assert answer.payload.reason == "unsupported_archive"


async def test_a_store_that_fails_while_unpacking_is_down_and_leaves_no_file_here(ingest, upload, objects, draw):
    envelope = await upload(zipped(a=draw(), b=b"text"), name="card.zip")
    objects.down = True
    with pytest.raises(DependencyDown):
        await ingest([envelope])
    objects.down = False
    assert isinstance((await ingest([envelope]))[0].payload, MediaUnpacked)


async def test_a_file_sent_back_from_quarantine_is_taken_as_a_person_says(ingest, upload, objects, draw):
    first = await upload(draw(kind="PNG"), name="IMG_0001.JPG")
    (refused,) = await ingest([first])
    assert refused.payload.intake_number == 1
    again = {"incoming_key": refused.payload.key, "media_id": first.payload.media_id, "intake_number": 2}
    data = await objects.get(refused.payload.key)
    (still,) = await ingest([await upload(data, **again)])
    assert (still.payload.reason, still.payload.intake_number) == ("extension_mismatch", 2)
    assert await objects.get(still.payload.key) == data
    when = datetime(2023, 1, 2, 3, 4, 5)
    mend = Mend(accept_as_is=True, captured_at=when)
    (taken,) = await ingest([await upload(data, mend=mend, **{**again, "intake_number": 3})])
    assert isinstance(taken.payload, MediaStored)
    assert taken.payload.metadata.captured_at == when
    assert taken.payload.flags == ("date_by_person",)
    assert "_20230102_030405_" in taken.payload.name


async def test_an_old_quarantine_is_no_sign_that_a_file_sent_back_was_done(ingest, upload, objects, draw):
    first = await upload(b"text")
    await ingest([first])
    again = await upload(b"text", media_id=first.payload.media_id, intake_number=2)
    await objects.delete(again.payload.incoming_key)
    missing = again.model_copy(update={"payload": again.payload.model_copy(update={"incoming_key": "incoming/gone"})})
    with pytest.raises(ObjectMissing):
        await ingest([missing])
