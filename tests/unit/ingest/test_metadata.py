import json
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varanger.common.words import CaptureMethod
from varanger.ingest.domain.metadata import orientation, parse_exif_date, read_metadata

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
        ("2019:7:8 8:05", datetime(2019, 7, 8, 8, 5)),
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
        captured_at = read_metadata(tags, "r").captured_at
        assert captured_at is not None
        assert captured_at.day == day
        tags[tag] = "0000:00:00 00:00:00"
    assert read_metadata(tags, "r").captured_at is None


def test_the_hyperfire_2_date_that_exiftool_turns_around_is_not_used():
    assert read_metadata({MAKER_NOTE: "2021:07:05 22:43:50", "Reconyx:FileNumber": 12}, "r").captured_at is None


def test_the_sooner_of_maker_notes_serial_and_standard_serial():
    tags = {"ExifIFD:SerialNumber": "body", "Reconyx:SerialNumber": "H500"}
    assert read_metadata(tags, "r").serial_number == "H500"
    assert read_metadata({"ExifIFD:SerialNumber": 70012}, "r").serial_number == "70012"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("T", CaptureMethod.TIME_LAPSE),
        ("M", CaptureMethod.ACTIVITY_DETECTION),
        ("E", CaptureMethod.ACTIVITY_DETECTION),
        ("C", None),
        ("P", None),
        ("", None),
        (None, None),
    ],
)
def test_trigger_modes(mode, expected):
    assert read_metadata({"Reconyx:TriggerMode": mode}, "r").capture_method == expected


def test_text_loses_padding_and_nuls_and_keeps_the_digits_of_a_number():
    found = read_metadata({"IFD0:Make": " BUSHNELL\x00\x00 ", "IFD0:Model": Decimal("4.10")}, "r")
    assert (found.make, found.model) == ("BUSHNELL", "4.10")
    assert read_metadata({"IFD0:Make": "  ", "IFD0:Model": "\x00"}, "r").make is None


def test_exif_data_keeps_what_a_person_may_want_and_json_can_hold():
    kept = read_metadata(
        {
            "SourceFile": "a/b.jpg",
            "System:FileName": "x",
            "ExifIFD:ISO": 320,
            "ExifIFD:ExposureTime": Decimal("0.002"),
            "IFD1:ThumbnailImage": "(Binary data 3050 bytes, use -b option to extract)",
            "ExifIFD:UserComment": "x" * 10_000,
            "ExifIFD:Broken": float("nan"),
            "ExifIFD:Note": b"\x00\x01",
            "IFD0:Artist": "A\x00B",
        },
        "r",
    ).exif_data
    assert kept == {
        "ExifIFD:ISO": 320,
        "ExifIFD:ExposureTime": 0.002,
        "ExifIFD:Broken": "nan",
        "IFD0:Artist": "AB",
    }


@given(
    st.dictionaries(
        st.text() | st.sampled_from([ORIGINAL, "IFD0:Make", "Reconyx:TriggerMode", "IFD0:Orientation"]),
        st.none() | st.text() | st.integers() | st.floats() | st.binary() | st.lists(st.integers()) | st.booleans(),
    )
)
def test_nothing_a_file_says_can_hurt(tags):
    found = read_metadata(tags, "r")
    assert "\\u0000" not in found.model_dump_json()
    json.dumps(found.exif_data, allow_nan=False)
    assert orientation(tags) in range(1, 9)


@pytest.mark.parametrize(("value", "expected"), [(6, 6), (0, 1), (9, 1), ("6", 1), (None, 1)])
def test_orientation(value, expected):
    assert orientation({"IFD0:Orientation": value}) == expected
