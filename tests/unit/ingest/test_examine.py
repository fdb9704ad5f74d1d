import hashlib
import zipfile
from datetime import datetime

import pytest
from PIL.PngImagePlugin import PngInfo

from varanger.common.messages import Mend
from varanger.common.settings import Settings
from varanger.ingest.adapters.fixed_tags import FixedTags
from varanger.ingest.adapters.pillow_exif import PillowExifReader
from varanger.ingest.application.examine import Examiner
from varanger.ingest.domain.archive import Archive
from varanger.ingest.domain.verdict import Flag, Quarantine, QuarantineReason
from varanger.ingest.domain.view import View

SETTINGS = Settings(max_pixels=1_000_000)


def examine(path, name="IMG_0001.JPG", reader=None, **said):
    return Examiner(reader or PillowExifReader(), SETTINGS).examine(path, name, **said)


def refused(found):
    assert isinstance(found.outcome, Quarantine)
    assert found.outcome.detail
    return found.outcome.reason


def test_a_good_image_with_its_own_words(draw, exif, saved):
    data = draw(320, 240, exif=exif(date="2024:05:06 07:08:09", make="BUSHNELL"))
    found = examine(saved(data))
    assert isinstance(found.outcome, View)
    assert (found.width, found.height) == (320, 240)
    assert (found.sha256, found.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert found.metadata.captured_at == datetime(2024, 5, 6, 7, 8, 9)
    assert found.metadata.make == "BUSHNELL"
    assert "install exiftool" in found.metadata.reader
    assert found.flags == ()


def test_the_only_reader_is_not_asked_twice(saved):
    found = examine(saved(b"\xff\xd8 no image"))
    assert found.metadata.reader.count("pillow") == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_orientation_in_xmp_turns_nothing(draw, saved, kind):
    """Viewers do not ask there either, and both readers shall show one view."""
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
    path = saved(draw(kind=kind, **({"pnginfo": chunks} if kind == "PNG" else {"xmp": packet})))
    found = examine(path, name="a")
    assert found.flags == (Flag.NO_DATE,)


def test_a_png_named_jpg_is_quarantined_with_both_types_named(draw, saved):
    path = saved(draw(kind="PNG"))
    found = examine(path, name="IMG_0001.JPG")
    assert isinstance(found.outcome, Quarantine)
    assert found.outcome.reason == "extension_mismatch"
    assert "image/png" in found.outcome.detail
    assert (found.width, found.height) == (160, 120)


def test_a_png_named_so_is_media(draw, saved):
    path = saved(draw(kind="PNG"))
    found = examine(path, name="IMG_0001.PNG")
    assert isinstance(found.outcome, View)
    assert found.file_type.media_type == "image/png"


def test_a_missing_date_is_a_flag(draw, exif, saved):
    found = examine(saved(draw(exif=exif(date="0000:00:00 00:00:00"))))
    assert found.metadata.captured_at is None
    assert found.flags == (Flag.NO_DATE,)


def test_a_turned_camera_is_said(draw, exif, saved):
    found = examine(saved(draw(100, 50, exif=exif(date="2024:05:06 07:08:09", orientation=6))))
    assert (found.width, found.height) == (100, 50)
    assert found.flags == (Flag.VIEW_ROTATED,)


def test_an_empty_file(saved):
    assert refused(examine(saved(b""))) == QuarantineReason.EMPTY_FILE


def test_a_text_file(saved):
    assert refused(examine(saved(b"this is no image\n"))) == QuarantineReason.WRONG_TYPE


def test_a_zip(tmp_path, draw):
    path = tmp_path / "card.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("IMG_0001.JPG", draw())
    found = examine(path, "card.zip")
    assert isinstance(found.outcome, Archive)
    assert [entry.path for entry in found.outcome.entries] == ["IMG_0001.JPG"]
    assert refused(examine(path, "card.zip", inside_archive=True)) == QuarantineReason.UNSUPPORTED_ARCHIVE
    assert refused(examine(path, "IMG_0001.JPG")) == QuarantineReason.EXTENSION_MISMATCH


@pytest.mark.parametrize("first", ["[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF"])
def test_a_document_is_not_taken_apart(tmp_path, first):
    path = tmp_path / "field notes"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(first, "application/epub+zip")
    assert refused(examine(path)) == QuarantineReason.WRONG_TYPE


@pytest.mark.parametrize("start", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x1f\x8b\x08", bytes(257) + b"ustar"])
def test_other_archives_are_kept_as_they_are(saved, start):
    assert refused(examine(saved(start + bytes(500)))) == QuarantineReason.UNSUPPORTED_ARCHIVE


def test_a_truncated_jpeg_still_says_when_it_was_taken(draw, exif, saved):
    data = draw(exif=exif(date="2024:05:06 07:08:09"))
    found = examine(saved(data[: len(data) // 2]))
    assert isinstance(found.outcome, View)
    assert found.flags == (Flag.TRUNCATED,)
    assert found.metadata.captured_at == datetime(2024, 5, 6, 7, 8, 9)
    assert (found.width, found.height) == (160, 120)
    assert refused(examine(saved(data[: len(data) // 10]))) == QuarantineReason.TRUNCATED_IMAGE


@pytest.mark.parametrize("start", [b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\x89PNG\r\n\x1a\n"])
def test_no_more_than_a_beginning(saved, start):
    assert refused(examine(saved(start))) in (QuarantineReason.CORRUPT_IMAGE, QuarantineReason.TRUNCATED_IMAGE)


def test_a_decompression_bomb_is_refused_by_its_header(saved, png_bomb):
    found = examine(saved(png_bomb))
    assert refused(found) == QuarantineReason.DECOMPRESSION_BOMB
    assert (found.width, found.height) == (50_000, 50_000)
    assert "2500000000 pixels" in found.outcome.detail


def test_the_limit_itself_is_allowed(draw, saved):
    assert isinstance(examine(saved(draw(1000, 1000))).outcome, View)
    assert refused(examine(saved(draw(1001, 1000)))) == QuarantineReason.DECOMPRESSION_BOMB


def test_a_reader_that_gives_up_never_decides_what_is_media(draw, exif, saved):
    data = draw(exif=exif(date="2024:05:06 07:08:09"))
    found = examine(saved(data), reader=FixedTags(None))
    assert isinstance(found.outcome, View)
    assert found.flags == (Flag.METADATA_UNREAD,)
    assert found.metadata.captured_at == datetime(2024, 5, 6, 7, 8, 9)
    assert "after fixed tags gave up" in found.metadata.reader


def test_a_file_that_cannot_be_read_is_no_verdict(tmp_path):
    with pytest.raises(FileNotFoundError):
        examine(tmp_path / "gone")


def test_a_person_gives_the_date(draw, exif, saved):
    when = datetime(2023, 2, 3, 4, 5, 6)
    found = examine(saved(draw(exif=exif(date="2000:01:01 00:00:00"))), mend=Mend(captured_at=when))
    assert found.metadata.captured_at == when
    assert found.flags == (Flag.DATE_BY_PERSON,)
    without = examine(saved(draw()), mend=Mend(captured_at=when))
    assert without.flags == (Flag.DATE_BY_PERSON,), "a date is no longer missing"


def test_a_person_takes_a_file_as_it_is(draw, saved):
    path = saved(draw(kind="PNG"))
    found = examine(path, mend=Mend(accept_as_is=True))
    assert isinstance(found.outcome, View)
    assert found.file_type.media_type == "image/png"
    assert refused(examine(saved(b"text, whoever says what"), mend=Mend(accept_as_is=True))) == "wrong_type"


def test_a_jpeg_of_endless_scans_is_not_decoded(draw, saved):
    data = draw(progressive=True)
    last = data.rindex(b"\xff\xda")
    assert isinstance(examine(saved(data)).outcome, View)
    assert isinstance(examine(saved(data[:-2] + data[last:-2] * 100 + data[-2:])).outcome, View), "small: soon done"
    many = data[:-2] + data[last:-2] * 600 + data[-2:]
    assert refused(examine(saved(many))) == QuarantineReason.TOO_MANY_SCANS
