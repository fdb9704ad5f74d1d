from datetime import datetime

import pytest

from varanger.ingest.domain.capture_time import CaptureTime, capture_time, parse_exif_date

ORIGINAL, DIGITIZED, CHANGED, MAKER_NOTE = (
    "ExifIFD:DateTimeOriginal",
    "ExifIFD:CreateDate",
    "IFD0:ModifyDate",
    "Reconyx:DateTimeOriginal",
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019:07:08 08:00:00", datetime(2019, 7, 8, 8)),
        ("2019:07:08 08:00:00.123", datetime(2019, 7, 8, 8)),
        ("2019:07:08 08:00:00+02:00", datetime(2019, 7, 8, 8)),
        ("2019-07-08T08:00:01", datetime(2019, 7, 8, 8, 0, 1)),
        ("2019: 7: 8  8: 5: 1", datetime(2019, 7, 8, 8, 5, 1)),
        ("2019:7:8 8:05", datetime(2019, 7, 8, 8, 5)),
        ("2011-01-24 7:56:05 PM", datetime(2011, 1, 24, 19, 56, 5)),
        ("2011-01-24 12:56:05 am", datetime(2011, 1, 24, 0, 56, 5)),
        ("2011-01-24 13:56:05 PM", None),
        ("0000:00:00 00:00:00", None),
        ("2019:02:30 08:00:00", None),
        ("2019:07:08 24:00:00", None),
        ("1601:01:01 00:00:00", None),
        ("0000000655555555", None),
        ("    :  :     :  :  ", None),
        ("2019:07:08", None),
        ("", None),
        (20190708, None),
        (None, None),
    ],
)
def test_dates_as_cameras_write_them(text, expected):
    assert parse_exif_date(text) == expected


def test_dates_are_asked_in_order():
    tags = {
        CHANGED: "2024:01:04 00:00:00",
        MAKER_NOTE: "2024:01:03 00:00:00",
        DIGITIZED: "2024:01:02 00:00:00",
        ORIGINAL: "2024:01:01 00:00:00",
    }
    for tag, day in ((ORIGINAL, 1), (DIGITIZED, 2), (MAKER_NOTE, 3), (CHANGED, 4)):
        at = capture_time(tags).at
        assert at is not None
        assert at.day == day
        tags[tag] = "0000:00:00 00:00:00"
    assert capture_time(tags) == CaptureTime()


@pytest.mark.parametrize(
    ("said", "share"), [("38", 0.38), ("5  ", 0.5), ("007", 0.007), (61, 0.61), ("", None), ("x", None)]
)
def test_sub_seconds_are_digits_behind_the_point(said, share):
    found = capture_time({ORIGINAL: "2019:05:14 17:14:52", "ExifIFD:SubSecTimeOriginal": said})
    assert found.sub_seconds == share


def test_sub_seconds_and_offset_belong_to_the_date_that_counts():
    tags = {
        DIGITIZED: "2019:05:14 17:14:52",
        "ExifIFD:SubSecTimeOriginal": "11",
        "ExifIFD:SubSecTimeDigitized": "22",
        "ExifIFD:OffsetTimeOriginal": "+01:00",
        "ExifIFD:OffsetTimeDigitized": "+02:00",
    }
    assert capture_time(tags) == CaptureTime(datetime(2019, 5, 14, 17, 14, 52), 0.22, "+02:00")


def test_sub_seconds_and_offset_inside_the_date():
    found = capture_time({ORIGINAL: "2019:07:08 08:00:00.25-03:30"})
    assert found == CaptureTime(datetime(2019, 7, 8, 8), 0.25, "-03:30")


@pytest.mark.parametrize(
    ("said", "offset"),
    [
        (-9, "-09:00"),
        (0, "+00:00"),
        ("-6 -6", "-06:00"),
        ([-6, -6], "-06:00"),
        ("+0530", "+05:30"),
        ("+530", "+05:30"),
        (-1000, "-10:00"),
        ("+05:30", "+05:30"),
        ("Z", "+00:00"),
        (5.5, "+05:30"),
        (32767, None),
        ("   :  ", None),
        ("", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_offsets_however_they_are_written(said, offset):
    assert capture_time({ORIGINAL: "2019:05:14 17:14:52", "ExifIFD:TimeZoneOffset": said}).utc_offset == offset


@pytest.mark.parametrize("tag", ["IFD0:CreateDate", "XMP-exif:DateTimeDigitized"])
def test_a_date_of_digitizing_counts_wherever_it_stands(tag):
    said = capture_time({tag: "2019:05:14 17:14:52", CHANGED: "2024:01:04 00:00:00"})
    assert said.at == datetime(2019, 5, 14, 17, 14, 52)


def test_xmps_date_of_the_document_is_no_date_of_taking():
    assert capture_time({"XMP-xmp:CreateDate": "2019:05:14 17:14:52"}).at is None


@pytest.mark.parametrize("tag", ["Keys:CreationDate", "UserData:DateTimeOriginal", "ItemList:ContentCreateDate"])
def test_a_films_own_words_count_before_its_containers_clock(tag):
    said = capture_time({tag: "2019:05:14 17:14:52", "QuickTime:CreateDate": "2024:01:04 00:00:00"})
    assert said.at == datetime(2019, 5, 14, 17, 14, 52)


def test_an_offset_is_reported_without_a_date_too():
    assert capture_time({"ExifIFD:OffsetTime": "+02:00"}).utc_offset == "+02:00"


@pytest.mark.parametrize("never_set", ["0000:00:00 00:00:00", "1904:01:01 00:00:00", "1970:01:01 00:00:00"])
def test_a_videos_clock_that_was_never_set_is_no_date(never_set):
    tags = {"QuickTime:CreateDate": never_set, "Track1:MediaCreateDate": "2020:02:03 04:05:06"}
    assert capture_time(tags).at == datetime(2020, 2, 3, 4, 5, 6)


def test_a_videos_own_date_is_taken_as_it_stands():
    found = capture_time({"QuickTime:CreateDate": "2025:11:12 02:03:13", "Keys:SamsungAndroidUtcOffset": "+0800"})
    assert found == CaptureTime(datetime(2025, 11, 12, 2, 3, 13))
    assert capture_time({"RIFF:DateTimeOriginal": "2012:09:11 10:00:00"}).at == datetime(2012, 9, 11, 10)
    local = capture_time(
        {"Keys:CreationDate": "2025:11:12 10:03:13+08:00", "QuickTime:CreateDate": "2025:11:12 02:03:13"}
    )
    assert local == CaptureTime(datetime(2025, 11, 12, 10, 3, 13), None, "+08:00")
