import hashlib
import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from varanger.ingest.adapters.zip_archive import ArchiveUnreadable, ZipArchive
from varanger.ingest.domain.archive import ArchiveLimits
from varanger.ingest.domain.verdict import QuarantineReason

LIMITS = ArchiveLimits(max_entries=50, max_bytes=8 << 20, max_ratio=200)
NOISE = hashlib.shake_256(b"varanger").digest(5000)


@pytest.fixture
def zipped(tmp_path):
    def made(*files, method=zipfile.ZIP_DEFLATED) -> Path:
        path = tmp_path / "card.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in files:
                archive.writestr(name, data)
        return path

    return made


def verify(path, limits=LIMITS):
    with ZipArchive(path, limits) as archive:
        return archive.verify()


def refused(path, limits=LIMITS):
    with pytest.raises(ArchiveUnreadable) as error:
        verify(path, limits)
    assert error.value.verdict.detail
    return error.value.verdict


def patched(path, old, new, *, count=1):
    data = path.read_bytes()
    assert data.count(old) == count
    path.write_bytes(data.replace(old, new))
    return path


def central(path, offset, form, value):
    """Change a field of the first entry in the directory (APPNOTE 4.3.12)."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, data.index(b"PK\x01\x02") + offset, value)
    path.write_bytes(data)
    return path


def test_every_file_with_its_hash_and_bytes(zipped, tmp_path):
    path = zipped(("DCIM/", b""), ("DCIM/a.jpg", NOISE), ("b.txt", b"x" * 3000), ("empty.jpg", b""))
    found = verify(path).entries
    assert [(one.index, one.path, one.bytes) for one in found] == [
        (1, "DCIM/a.jpg", 5000),
        (2, "b.txt", 3000),
        (3, "empty.jpg", 0),
    ]
    assert found[0].sha256 == hashlib.sha256(NOISE).hexdigest()
    with ZipArchive(path, LIMITS) as archive:
        archive.extract(found[0], tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == NOISE


def test_two_files_of_one_name_are_two(tmp_path):
    path = tmp_path / "card.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.jpg", b"two")
    found = verify(path).entries
    assert [one.path for one in found] == ["a.jpg", "a.jpg"]
    assert found[0].sha256 != found[1].sha256


def test_a_file_without_a_name(zipped):
    path = patched(zipped(("x§", NOISE)), b"x\xc2\xa7", b"", count=2)
    data = bytearray(path.read_bytes())
    for start, length in ((b"PK\x03\x04", 26), (b"PK\x01\x02", 28)):
        struct.pack_into("<H", data, data.index(start) + length, 0)
    end = data.index(b"PK\x05\x06")
    struct.pack_into("<II", data, end + 12, 46, end - 46)
    path.write_bytes(data)
    assert [(one.path, one.bytes) for one in verify(path).entries] == [("entry-0", 5000)]


def test_a_link_is_a_file_that_holds_where_it_points(tmp_path):
    path = tmp_path / "card.zip"
    link = zipfile.ZipInfo("a.jpg")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    (found,) = verify(path).entries
    assert found.sha256 == hashlib.sha256(b"/etc/passwd").hexdigest()


def test_a_zip64_archive(tmp_path):
    path = tmp_path / "card.zip"
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.jpg", "w", force_zip64=True) as file:
        file.write(NOISE)
    assert verify(path).entries[0].bytes == 5000


@pytest.mark.parametrize("files", [[], [("DCIM/", b""), ("DCIM/100/", b"")]])
def test_an_archive_without_files(zipped, files):
    assert refused(zipped(*files)).reason == QuarantineReason.EMPTY_ARCHIVE


def test_too_many_files(zipped):
    path = zipped(*((f"{number}.jpg", b"x") for number in range(51)))
    assert refused(path).reason == QuarantineReason.ARCHIVE_TOO_LARGE


def test_a_directory_too_long_to_be_read(zipped):
    path = zipped(*((f"{number:0>3}" + "n" * 3000, b"") for number in range(40)))
    assert refused(path).reason == QuarantineReason.ARCHIVE_TOO_LARGE


def test_a_bomb_is_found_while_it_swells_whatever_its_headers_say(zipped):
    bomb = bytes(6 << 20)
    assert "200 times" in refused(zipped(("bomb", bomb))).detail
    lying = central(zipped(("bomb", bomb)), 20, "<I", 0xFFFFFF)  # the packed bytes
    assert refused(lying).reason in (QuarantineReason.ARCHIVE_TOO_LARGE, QuarantineReason.CORRUPT_ARCHIVE)


def test_more_bytes_than_allowed_in_all(zipped):
    few = ArchiveLimits(max_entries=50, max_bytes=9000, max_ratio=200)
    assert refused(zipped(("a", NOISE), ("b", NOISE)), few).reason == QuarantineReason.ARCHIVE_TOO_LARGE


@pytest.mark.parametrize("claimed", [10, 6000])
def test_a_size_that_is_a_lie(zipped, claimed):
    path = central(zipped(("a.jpg", NOISE), method=zipfile.ZIP_STORED), 24, "<I", claimed)
    assert refused(path).reason == QuarantineReason.CORRUPT_ARCHIVE


def test_a_broken_file_is_named(zipped):
    path = patched(zipped(("a.jpg", b"good"), ("b.jpg", b"BROKEN"), method=zipfile.ZIP_STORED), b"BROKEN", b"BROKEM")
    verdict = refused(path)
    assert verdict.reason == QuarantineReason.CORRUPT_ARCHIVE
    assert "b.jpg" in verdict.detail


def test_a_locked_file(zipped):
    verdict = refused(central(zipped(("a.jpg", NOISE)), 8, "<H", 1))
    assert verdict.reason == QuarantineReason.UNSUPPORTED_ARCHIVE
    assert "password" in verdict.detail


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_whose_memory_we_cannot_bound(zipped, method):
    assert refused(zipped(("a.jpg", NOISE), method=method)).reason == QuarantineReason.UNSUPPORTED_ARCHIVE


def test_an_archive_cut_short(zipped):
    path = zipped(("a.jpg", NOISE))
    path.write_bytes(path.read_bytes()[:-30])
    assert refused(path).reason == QuarantineReason.CORRUPT_ARCHIVE


def test_names_that_are_no_utf8(zipped):
    path = patched(zipped(("aæ.jpg", NOISE)), "aæ.jpg".encode(), b"a\xff\xff.jpg", count=2)
    assert refused(path).reason == QuarantineReason.CORRUPT_ARCHIVE


def test_names_in_two_code_pages(tmp_path):
    path = tmp_path / "card.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Smørstad.jpg", b"x")
    data = path.read_bytes()
    unsaid = data.replace(b"\x00\x08\x00\x00", b"\x00\x00\x00\x00")
    assert io.BytesIO(data).getvalue() != unsaid
    path.write_bytes(unsaid)
    assert verify(path).entries[0].path == "Smørstad.jpg"
