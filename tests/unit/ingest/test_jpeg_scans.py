import pytest

from varanger.ingest.adapters.jpeg_scans import refuse_scans


@pytest.mark.parametrize(
    ("scans", "pixels", "refused"),
    [
        (1, 200_000_000, False),
        (20, 200_000_000, False),
        (21, 200_000_000, True),
        (100, 12_000_000, False),
        (101, 12_000_000, True),
        (500, 1, False),
        (501, 1, True),
    ],
)
def test_scans_are_weighed_by_pixels(tmp_path, scans, pixels, refused):
    path = tmp_path / "image"
    path.write_bytes(b"\xff\xd8" + b"\xff\xda\x00\x02" * scans + b"\xff\xd9")
    verdict = refuse_scans(path, pixels)
    assert (verdict is not None) == refused
    assert verdict is None or verdict.reason == "too_many_scans"


def scans(count):
    return b"\xff\xda\x00\x02" * count


@pytest.mark.parametrize("behind", [scans(600), b"\xff\xd8" + scans(600)], ids=["remains", "another image"])
def test_what_stands_behind_the_images_end_is_no_scan(tmp_path, behind):
    path = tmp_path / "image"
    path.write_bytes(b"\xff\xd8" + scans(10) + b"\x01\xff\x00\xff\xd0\x02\xff\xd9" + behind)
    assert refuse_scans(path, 1) is None


def test_what_stands_in_metadata_is_no_scan(tmp_path):
    path = tmp_path / "image"
    note = scans(600)
    path.write_bytes(b"\xff\xd8\xff\xe1" + (len(note) + 2).to_bytes(2) + note + scans(1) + b"\xff\xd9")
    assert refuse_scans(path, 1) is None


@pytest.mark.parametrize(
    "between",
    [b"\xff\xd0", b"\xff\xff\xff", b"\xff\x02\xff\xff", b"\xff\xd8", b"\xff\x00\x00", b"\xff\xe0\x00\x00"],
)
def test_scans_do_not_hide_behind_odd_markers(tmp_path, between):
    """As libjpeg's `next_marker` and `jpeg_resync_to_restart` pass over them."""
    path = tmp_path / "image"
    path.write_bytes(b"\xff\xd8" + (b"\xff\xda\x00\x02" + between) * 501 + b"\xff\xd9")
    assert refuse_scans(path, 1) is not None


def test_segments_without_end_are_too_many(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 30_000 + scans(501))
    assert refuse_scans(path, 1) is not None
