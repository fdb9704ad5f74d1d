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
