import io
import tarfile
import zipfile

import pytest

from varanger.ingest.domain import file_types
from varanger.ingest.domain.file_types import name_contradicts, refuse_type, sniff


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "a")
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("head", "expected", "reason"),
    [
        (b"\x00\x00\x00\x18ftypmp42", file_types.MP4, None),
        (b"\x00\x00\x00\x14ftypqt  ", file_types.QUICKTIME, None),
        (b"\x00\x00\x00\x08wide\x00\x00", file_types.QUICKTIME, None),
        (b"RIFF\x00\x00\x00\x00AVI LIST", file_types.AVI, None),
        (b"\x1a\x45\xdf\xa3\x01", file_types.MATROSKA, None),
        (b"\x00\x00\x00\x18ftypheic", file_types.HEIF, "unsupported_image"),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00", file_types.RAW, "unsupported_image"),
        (_zip(), file_types.ZIP, None),
        (_tar(), file_types.TAR, "unsupported_archive"),
        (b"\x1f\x8b\x08\x00", file_types.GZIP, "unsupported_archive"),
        (b"%PDF-1.7\n%\xe2\xe3", file_types.PDF, "wrong_type"),
        (b"station,species\nA1,lynx\n", file_types.TEXT, "wrong_type"),
        ("Kjøllefjord — søndre".encode(), file_types.TEXT, "wrong_type"),
        ("kjøllefjord, nordre del".encode("latin-1"), file_types.TEXT, "wrong_type"),
        ("café".encode("utf-16"), file_types.TEXT, "wrong_type"),
        (b"BM\x00 not a bitmap", file_types.UNKNOWN, "not_an_image"),
        (bytes(range(256)), file_types.UNKNOWN, "not_an_image"),
        (b"RIFF\x00\x00\x00\x00WAVE", file_types.UNKNOWN, "not_an_image"),
    ],
)
def test_what_is_no_image_is_told_by_its_bytes(head, expected, reason):
    assert sniff(head) is expected
    refusal = refuse_type(sniff(head))
    assert (refusal and refusal.reason) == reason, "videos and zips are looked at further"
    assert refusal is None or refusal.detail


@pytest.mark.parametrize("file_type", file_types.IMAGE_TYPES, ids=lambda file_type: file_type.name)
def test_drawn_images_are_told_by_their_bytes(file_type, draw):
    assert sniff(draw(kind=file_type.name)[: file_types.SNIFF_BYTES]) is file_type
    assert refuse_type(file_type) is None


def test_nothing_is_of_no_type():
    assert sniff(b"") is file_types.UNKNOWN


@pytest.mark.parametrize(
    ("name", "contradicts"),
    [
        ("IMG_0001.PNG", False),
        ("IMG_0001.jpg", True),
        ("no extension", False),
        (".jpg", False),
        ("ends.", False),
        ("a.b.png", False),
    ],
)
def test_a_name_is_checked_against_a_png(name, contradicts):
    assert name_contradicts(name, file_types.PNG) is contradicts
