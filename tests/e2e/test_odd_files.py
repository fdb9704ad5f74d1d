"""Zips, videos and quarantined files through the real processes, the counts adding up at every moment looked at."""

import io
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from tests.e2e.system import wait_until
from tests.integration.ingest.drawn_video import drawn_video

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def images(season):
    """Three images of one camera."""
    mine = [one for one in season.media if one.deployment_id == season.deployments[0].deployment_id]
    return [(season.folder / one.path).read_bytes() for one in mine[:3]]


@pytest.fixture
def run(new_run):
    run = new_run("odd")
    for deployment in ("north", "south"):
        run.client.put_deployment(run.project, deployment, location_id=deployment)
    return run


def png():
    """No camera's file."""
    drawn = io.BytesIO()
    Image.fromarray(np.arange(3 * 64 * 48, dtype=np.uint8).reshape(48, 64, 3)).save(drawn, "PNG")
    return drawn.getvalue()


def zipped(entries):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return packed.getvalue()


def sent(run, folder, **files):
    """Upload these contents; then look at the counts until nothing is pending."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    verdicts = run.client.upload(run.project, "north", [folder / name for name in files], below=folder)
    assert {one.verdict for one in verdicts} == {"accepted"}
    wait_until(lambda: run.stats()["pending"] == 0, 120, run.logs, every_s=0.02)
    return [str(one.media_id) for one in verdicts]


def test_a_zip_counts_as_its_files_and_a_misnamed_one_is_released_for_another_deployment(run, images, tmp_path):
    known, *new = images
    sent(run, tmp_path, **{"IMG_0001.JPG": known})
    card = [
        ("DCIM/100RECNX/IMG_0001.JPG", new[0]),
        ("DCIM/101RECNX/IMG_0001.JPG", new[1]),
        ("DCIM/101RECNX/IMG_0002.JPG", new[0]),
        ("DCIM/101RECNX/IMG_0003.JPG", known),
        ("DCIM/101RECNX/IMG_0004.JPG", png()),
        ("DCIM/101RECNX/IMG_0005.JPG", np.random.default_rng(1).bytes(5000)),
        ("DCIM/notes.txt", b"camera 7, battery changed\n" * 9),
        ("DCIM/inner.zip", zipped([("IMG_0001.JPG", new[0])])),
    ]
    (media_id,) = sent(run, tmp_path, **{"card.zip": zipped(card)})

    archive = run.client.one_media(media_id)
    assert archive.state == "unpacked"
    assert len(archive.entries) == len(card)
    stats = run.stats()
    assert stats["received"] == 1 + len(card)
    assert (stats["media"], stats["duplicate"], stats["quarantined"], stats["failed"]) == (3, 2, 4, 0)
    entries = [run.client.one_media(each) for each in archive.entries]
    assert {one.original_path for one in entries} == {f"card.zip/{name}" for name, _ in card}
    assert Counter(one.state for one in entries) == {"media": 2, "duplicate": 2, "quarantined": 4}
    held = {one.original_name: one for one in run.client.quarantine(run.project)}
    assert {name: one.reason for name, one in held.items()} == {
        "IMG_0004.JPG": "extension_mismatch",
        "IMG_0005.JPG": "not_an_image",
        "notes.txt": "wrong_type",
        "inner.zip": "unsupported_archive",
    }

    misnamed = held["IMG_0004.JPG"].media_id
    run.client.release_from_quarantine(misnamed, deployment="south", accept_as_is=True)
    run.client.release_from_quarantine(held["notes.txt"].media_id)
    wait_until(lambda: run.stats()["pending"] == 0, 120, run.logs, every_s=0.02)
    released = run.client.one_media(misnamed)
    assert (released.state, released.deployment) == ("media", "south")
    assert released.name.startswith("south_")
    assert released.label
    assert run.client.one_media(held["notes.txt"].media_id).state == "quarantined"
    assert run.stats() | {"by_label": {}, "by_route": {}} == stats | {
        "media": 4,
        "quarantined": 3,
        "by_label": {},
        "by_route": {},
    }


def test_a_video_is_one_media_and_its_frames_are_answered(run, tmp_path):
    (media_id,) = sent(run, tmp_path, **{"VIDEO_01.MP4": drawn_video(frames=30, rate=10)})
    video = run.client.one_media(media_id)
    assert video.state == "media"
    assert (video.duration_s, video.frame_rate) == (pytest.approx(3.0, abs=0.11), pytest.approx(10.0))
    assert len(video.frame_numbers) == 3
    answered = {one.frame_number: one for one in video.predictions}
    assert set(answered) == set(video.frame_numbers)
    assert {one.state for one in answered.values()} == {"classified"}
    assert video.label in {one.label for one in answered.values()}
    assert run.get(f"/v1/media/{media_id}/view").content.startswith(b"\xff\xd8")
    assert run.stats()["received"] == run.stats()["media"] == 1
