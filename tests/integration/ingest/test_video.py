"""Videos through the decoding process of their own, good and hostile."""

import hashlib
import io
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import av
import numpy as np
import pytest
from PIL import Image
from tests.integration.ingest.drawn_video import drawn_video

from varanger.common.adapters.objects_memory import MemoryObjectStore
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaUploaded
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Progress
from varanger.common.view_keys import frame_view_key
from varanger.common.words import DeploymentSnapshot
from varanger.ingest.adapters import video as video_adapter
from varanger.ingest.adapters.fixed_tags import FixedTags
from varanger.ingest.adapters.video import decode_video
from varanger.ingest.application.examine import Examiner
from varanger.ingest.application.ingest_media import IngestMedia
from varanger.ingest.domain.file_types import sniff
from varanger.ingest.domain.verdict import Quarantine, QuarantineReason
from varanger.ingest.domain.video import Video, VideoLimits

LIMITS = VideoLimits(frames_per_s=1.0, max_frames=60, timeout_s=60.0, memory_bytes=1 << 30, max_pixels=4_000_000)


@pytest.fixture
def decode(tmp_path):
    def decoded(data, limits=LIMITS):
        path = tmp_path / "video"
        path.write_bytes(data)
        return decode_video(path, sniff(data[:4096]), limits)

    return decoded


def refused(outcome):
    assert isinstance(outcome, Quarantine), outcome
    assert outcome.detail
    return outcome.reason


def pixels(frame):
    return np.asarray(Image.open(io.BytesIO(frame.view)).convert("L")).astype(int)


def brightness(frame):
    """Of the lower right quarter."""
    shown = pixels(frame)
    return float(shown[shown.shape[0] * 3 // 4 :, shown.shape[1] * 3 // 4 :].mean())


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        *(("mp4", "mpeg4"), ("mp4", "libx264"), ("mov", "mjpeg"), ("avi", "mjpeg"), ("avi", "mpeg4")),
        *(("matroska", "libx264"), ("webm", "libvpx"), ("asf", "wmv2"), ("mpeg", "mpeg2video"), ("flv", "flv")),
    ],
)
def test_what_cameras_write(decode, kind, codec):
    rate = 25  # MPEG-2 has no 10
    found = decode(drawn_video(frames=76, rate=rate, kind=kind, codec=codec))
    assert isinstance(found, Video), found
    assert (found.width, found.height) == (160, 96)
    assert found.frame_rate == pytest.approx(rate, rel=0.01)
    assert found.duration_s == pytest.approx(76 / rate, abs=0.2)
    assert [frame.number for frame in found.frames] == [0, 25, 50, 75]
    for frame in found.frames:
        assert brightness(frame) == pytest.approx(40 + 4 * (frame.number % 50), abs=4), "the very frame"
    assert not (found.rotated or found.truncated or found.damaged)


def test_a_long_video_costs_no_more_views(decode):
    found = decode(drawn_video(frames=200, rate=10), replace(LIMITS, max_frames=4))
    assert [frame.number for frame in found.frames] == [0, 50, 100, 150]


def test_a_large_video_has_small_views(decode):
    found = decode(drawn_video(frames=2, size=(1920, 1080)))
    assert (found.width, found.height) == (1920, 1080)
    assert pixels(found.frames[0]).shape == (720, 1280)


@pytest.mark.parametrize(("rotation", "dark"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1)), (-90, (0, 1))])
def test_a_turned_video_is_shown_upright(decode, rotation, dark):
    """The dark quarter is at the upper left as stored; the rotation says by how much to turn it counterclockwise."""
    found = decode(drawn_video(frames=3, rotation=rotation))
    assert (found.width, found.height, found.rotated) == (160, 96, rotation != 0)
    shown = pixels(found.frames[0])
    assert shown.shape == ((160, 96) if rotation in (90, -90) else (96, 160))
    height, width = shown.shape
    quarters = {
        (row, column): shown[
            row * height // 2 : (row + 1) * height // 2, column * width // 2 : (column + 1) * width // 2
        ]
        for row in (0, 1)
        for column in (0, 1)
    }
    assert min(quarters, key=lambda place: quarters[place].mean()) == dark


def test_a_video_cut_short_is_media_as_far_as_it_goes(decode):
    data = drawn_video(frames=100, rate=10, codec="mjpeg", kind="mov", options={"movflags": "faststart"})
    found = decode(data[: len(data) * 6 // 10])
    assert isinstance(found, Video), found
    assert found.truncated
    assert 5 < found.duration_s < 7
    assert [frame.number for frame in found.frames] == [0, 10, 20, 30, 40, 50]
    assert brightness(found.frames[5]) == pytest.approx(40, abs=4)


def test_an_avi_cut_short(decode):
    data = drawn_video(frames=100, rate=10, codec="mjpeg", kind="avi")
    found = decode(data[: len(data) // 2])
    assert isinstance(found, Video), found
    assert found.truncated
    assert 4 <= len(found.frames) <= 6


def test_a_video_without_its_index_is_corrupt(decode):
    data = drawn_video(frames=100)
    assert refused(decode(data[: len(data) // 2])) == QuarantineReason.CORRUPT_VIDEO


def test_broken_frames_are_left_out_and_said(decode):
    data = bytearray(drawn_video(frames=40, rate=10, kind="avi", codec="mjpeg"))
    starts = [place for place in range(len(data)) if data[place : place + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 40
    data[starts[10] : starts[11] - 8] = bytes(starts[11] - 8 - starts[10])
    found = decode(bytes(data))
    assert isinstance(found, Video), found
    assert found.damaged
    assert [frame.number for frame in found.frames] == [0, 11, 20, 30]


@pytest.mark.parametrize("start", [b"\x00\x00\x00\x18ftypmp42", b"RIFF\xff\xff\x00\x00AVI LIST", b"\x1a\x45\xdf\xa3"])
def test_no_more_than_a_beginning(decode, start):
    assert refused(decode(start + bytes(500))) == QuarantineReason.CORRUPT_VIDEO


def test_sound_without_a_picture(decode):
    out = io.BytesIO()
    with av.open(out, "w", format="avi") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=1024)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    assert refused(decode(out.getvalue())) == QuarantineReason.UNSUPPORTED_VIDEO


def test_an_encoding_that_no_camera_writes(decode):
    data = drawn_video(frames=3, kind="avi", codec="mpeg4")
    assert b"FMP4" in data
    outcome = decode(data.replace(b"FMP4", b"CAVS"))
    assert refused(outcome) == QuarantineReason.UNSUPPORTED_VIDEO


def test_frames_larger_than_allowed(decode):
    assert refused(decode(drawn_video(), replace(LIMITS, max_pixels=10_000))) == QuarantineReason.DECOMPRESSION_BOMB


def test_a_video_that_takes_too_long(decode):
    outcome = decode(drawn_video(), replace(LIMITS, timeout_s=0.01))
    assert refused(outcome) == QuarantineReason.VIDEO_TOO_SLOW


def test_a_video_that_swells(decode):
    data = drawn_video(frames=1, codec="mjpeg", kind="avi", size=(8192, 6144))
    generous = replace(LIMITS, max_pixels=60_000_000)
    assert isinstance(decode(data, generous), Video)
    outcome = decode(data, replace(generous, memory_bytes=240 << 20))
    assert refused(outcome) == QuarantineReason.DECOMPRESSION_BOMB


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGABRT, signal.SIGXCPU])
def test_a_decoder_that_crashes_costs_one_file(decode, monkeypatch, tmp_path, how):
    crashing = tmp_path / "crashing.py"
    crashing.write_text(f"import os\nos.kill(os.getpid(), {int(how)})\n")
    monkeypatch.setattr(video_adapter, "PROGRAM", crashing)
    expected = QuarantineReason.VIDEO_TOO_SLOW if how == signal.SIGXCPU else QuarantineReason.CORRUPT_VIDEO
    assert refused(decode(drawn_video(frames=2))) == expected


@pytest.mark.parametrize(
    ("program", "said"),
    [("import no_such_module_here", "no_such_module_here"), ("import os; os.kill(os.getpid(), 9)", "status -9")],
)
def test_a_machine_that_cannot_decode_says_nothing_of_the_file(decode, monkeypatch, tmp_path, program, said):
    away = tmp_path / "away.py"
    away.write_text(program)
    monkeypatch.setattr(video_adapter, "PROGRAM", away)
    with pytest.raises(OSError, match=said):
        decode(drawn_video(frames=2))


def test_the_decoder_is_told_none_of_our_secrets(decode, monkeypatch, tmp_path):
    told = tmp_path / "told"
    curious = tmp_path / "curious.py"
    curious.write_text(f"import os, sys\nopen({str(told)!r}, 'w').write(repr(dict(os.environ)))\nsys.exit(3)\n")
    monkeypatch.setattr(video_adapter, "PROGRAM", curious)
    monkeypatch.setitem(os.environ, "VARANGER_OBJECTS_URL", "s3://key:secret@host/bucket")
    with pytest.raises(OSError):
        decode(drawn_video(frames=2))
    assert "secret" not in told.read_text()


async def test_a_video_becomes_media_with_a_view_per_frame(tmp_path):
    objects, data, media_id = MemoryObjectStore(), drawn_video(frames=25, rate=10, codec="libx264"), new_id()
    await objects.put("incoming/p/1", data)
    upload = MediaUploaded(
        media_id=media_id,
        deployment=DeploymentSnapshot(deployment_id="D1", location_id="L1"),
        incoming_key="incoming/p/1",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        original_name="0001.MP4",
        uploaded_at=datetime(2024, 6, 1, tzinfo=UTC),
    )
    envelope = Envelope.wrap(upload, project_id="p", producer="api/test")
    with ThreadPoolExecutor(1) as pool:
        examiner = Examiner(FixedTags({"ExifIFD:DateTimeOriginal": "2024:05:06 07:08:09"}), Settings())
        ingest = IngestMedia(objects, examiner, pool=pool, workbench=tmp_path, progress=Progress(60.0))
        (first,), (second,) = await ingest([envelope]), await ingest([envelope])
        await objects.delete("incoming/p/1")
        assert await ingest([envelope]) == [], "a late redelivery"
    fact = first.payload
    assert second.payload == fact
    assert Envelope.from_body(first.to_body()).payload == fact
    assert (fact.width, fact.height, fact.media_type) == (160, 96, "video/mp4")
    assert (fact.duration_s, fact.frame_rate, fact.frame_numbers) == (2.5, 10.0, (0, 10, 20))
    assert fact.name.startswith("L1_20240506_070809_")
    assert fact.name.endswith(".mp4")
    assert fact.flags == ()
    views = [await objects.get(frame_view_key(fact.view_key, number)) for number in fact.frame_numbers]
    assert await objects.get(fact.view_key) == views[0]
    assert len(set(views)) == 3
    assert await objects.get(fact.key) == data
