import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varanger.common.words import CaptureMethod
from varanger.ingest.domain.metadata import orientation, read_metadata

TAGS = (
    *("ExifIFD:DateTimeOriginal", "ExifIFD:SubSecTimeOriginal", "ExifIFD:TimeZoneOffset", "IFD0:Make"),
    *("IFD0:Orientation", "Reconyx:TriggerMode", "Reconyx:Sequence", "Reconyx:EventNumber", "Reconyx:MoonPhase"),
    *("Reconyx:AmbientTemperature", "Reconyx:BatteryVoltage", "Reconyx:Flash", "ExifIFD:ISO", "ExifIFD:FNumber"),
    *("GPS:GPSLatitude", "GPS:GPSLatitudeRef", "GPS:GPSLongitude", "Keys:GPSCoordinates"),
)


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
            "File:FileType": "JPEG",
            "File:Comment": "Trg: M 2/3\rEvt: 1384",
            "ICC_Profile:ProfileCopyright": "nobody",
            "XMP-dc:Subject": ["leopard", b"", ["cat"]],
            "ExifIFD:Broken": float("nan"),
            "ExifIFD:Note": b"\x00\x01",
            "IFD0:Artist": "A\x00B",
        },
        "r",
    ).exif_data
    assert kept == {
        "ExifIFD:ISO": 320,
        "ExifIFD:ExposureTime": 0.002,
        "ExifIFD:UserComment": "x" * 999 + "…",
        "File:Comment": "Trg: M 2/3Evt: 1384",
        "XMP-dc:Subject": ["leopard", ["cat"]],
        "ExifIFD:Broken": "nan",
        "IFD0:Artist": "AB",
    }


def read(**tags):
    return read_metadata({name.replace("_", ":", 1): value for name, value in tags.items()}, "r")


def test_what_a_reconyx_says_of_its_burst():
    found = read(Reconyx_Sequence="2 3", Reconyx_EventNumber=1384)
    assert (found.sequence_number, found.sequence_length, found.event_number) == (2, 3, 1384)
    time_lapse = read(Reconyx_Sequence="0 0", Reconyx_EventNumber=0)
    assert (time_lapse.sequence_number, time_lapse.sequence_length, time_lapse.event_number) == (0, 0, 0)


@pytest.mark.parametrize("said", ["", "1", "1 2 3", 12, None, "of", "99999999999 1"])
def test_no_sequence_where_there_are_not_two_numbers(said):
    assert read(Reconyx_Sequence=said).sequence_number is None


@pytest.mark.parametrize("said", ["2 of 5", "2/5", " 2  5 ", "2 5\x00"])
def test_a_sequence_however_it_is_written(said):
    assert (read(Reconyx_Sequence=said).sequence_number, read(Reconyx_Sequence=said).sequence_length) == (2, 5)


def test_below_freezing():
    assert read(Reconyx_AmbientTemperature=-23).temperature_c == -23
    assert read(Reconyx_AmbientTemperature="-5 C").temperature_c == -5
    assert read(ExifIFD_AmbientTemperature=Decimal("-4.5")).temperature_c == -4.5


@pytest.mark.parametrize(("said", "volts"), [(9.75, 9.75), (10005, 10.005), (0, 0), (-1, None), ("undef", None)])
def test_volts_also_where_exiftool_says_millivolts(said, volts):
    assert read(Reconyx_BatteryVoltage=said).battery_v == volts


@pytest.mark.parametrize(("said", "phase"), [(0, 0), (7, 7), (8, None), (-1, None), ("4", 4), (4.5, None)])
def test_moon_phases(said, phase):
    assert read(Reconyx_MoonPhase=said).moon_phase == phase


@pytest.mark.parametrize("tag", ["Reconyx_InfraredIlluminator", "Reconyx_Illumination", "Reconyx_Flash"])
def test_infrared(tag):
    assert [read(**{tag: said}).infrared for said in (0, 1, 2, None)] == [False, True, None, None]


def test_exposure_where_a_camera_divides_by_zero():
    found = read(ExifIFD_ExposureTime="undef", ExifIFD_FNumber="inf", ExifIFD_ISO="100 100")
    assert (found.exposure_time_s, found.f_number, found.iso) == (None, None, 100)
    assert read(ExifIFD_ExposureTime=0, ExifIFD_ISO=float("nan")).exposure_time_s == 0


def test_a_video_names_its_camera_elsewhere():
    found = read(Keys_Make="Apple", Keys_Model="iPhone", QuickTime_CreateDate="2025:11:12 02:03:13")
    assert (found.make, found.model) == ("Apple", "iPhone")
    assert found.captured_at is not None


def test_a_cuddeback_that_swaps_make_and_model_is_reported_as_it_is():
    found = read(IFD0_Make="G6.1", IFD0_Model="CUDDEBACK")
    assert (found.make, found.model) == ("G6.1", "CUDDEBACK")


@given(
    st.dictionaries(
        st.text() | st.sampled_from(TAGS),
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
