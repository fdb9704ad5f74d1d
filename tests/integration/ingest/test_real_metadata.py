"""Every modelled field of every sample file, against ExifTool's own answers kept beside the files.

What is expected is worked out here, straight from ExifTool's numeric JSON, tag by tag.
"""

import json
from contextlib import closing

import pytest

from varanger.ingest.adapters import open_metadata_reader
from varanger.ingest.adapters.pillow_exif import PillowExifReader
from varanger.ingest.application.inspect import inspect_files
from varanger.ingest.domain.metadata import read_metadata
from varanger.ingest.ports import MetadataUnread

VIDEOS = (".mp4", ".avi")


@pytest.fixture(scope="module")
def answers(sample_data):
    table = json.loads((sample_data / "expected_exiftool" / "exiftool_12.57_numeric.json").read_text())
    return {answer["SourceFile"]: answer for answer in table}


@pytest.fixture(scope="module")
def inspected(sample_data, answers):
    names = [name for name in answers if not name.lower().endswith(VIDEOS)]
    return dict(zip(names, inspect_files(sample_data / name for name in names), strict=True))


def words(answer, *tags):
    return next((said for tag in tags if (said := str(answer.get(tag, "")).strip())), None)


def when(answer):
    """HyperFire 2 aside, whose own date ExifTool turns around: each of ours has the standard one."""
    tags = ("ExifIFD:DateTimeOriginal", "ExifIFD:CreateDate", "Reconyx:DateTimeOriginal", "XMP-exif:DateTimeOriginal")
    said = words(answer, *tags, "IFD0:ModifyDate", "QuickTime:CreateDate")
    if said is None or said.startswith("0000"):
        return None
    day, time = said.split(" ")
    return f"{day.replace(':', '-')}T{time[:8]}"


def sub_seconds(answer):
    digits = answer.get("ExifIFD:SubSecTimeOriginal")
    return None if digits is None else float(f"0.{digits}")


def offset(answer):
    hours = answer.get("ExifIFD:TimeZoneOffset")
    return None if hours is None else f"{hours:+03d}:00"


def sequence(answer, part):
    said = answer.get("Reconyx:Sequence")
    return None if said is None else int(said.split()[part])


def volts(answer):
    said = answer.get("Reconyx:BatteryVoltage")
    hyperfire_2 = "Reconyx:BatteryVoltageAvg" in answer
    return said if not hyperfire_2 else said / 1000


def infrared(answer):
    tags = ("Reconyx:InfraredIlluminator", "Reconyx:Illumination", "Reconyx:Flash")
    return {"1": True, "0": False, None: None}[words(answer, *tags)]


def coordinate(answer, which):
    """ExifTool signs it by the hemisphere in its Composite tag. Both or none: an impossible one voids the other."""
    latitude, longitude = answer.get("Composite:GPSLatitude"), answer.get("Composite:GPSLongitude")
    if latitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return (latitude, longitude)[which]


EXPECTED = {
    "captured_at": when,
    "sub_seconds": sub_seconds,
    "utc_offset": offset,
    "make": lambda answer: words(answer, "IFD0:Make"),
    "model": lambda answer: words(answer, "IFD0:Model"),
    "serial_number": lambda answer: words(answer, "Reconyx:SerialNumber"),
    "user_label": lambda answer: words(answer, "Reconyx:UserLabel"),
    "capture_method": lambda answer: {"T": "timeLapse", "M": "activityDetection", None: None}[
        answer.get("Reconyx:TriggerMode")
    ],
    "sequence_number": lambda answer: sequence(answer, 0),
    "sequence_length": lambda answer: sequence(answer, 1),
    "event_number": lambda answer: answer.get("Reconyx:EventNumber"),
    "temperature_c": lambda answer: answer.get("Reconyx:AmbientTemperature"),
    "moon_phase": lambda answer: answer.get("Reconyx:MoonPhase"),
    "battery_v": volts,
    "infrared": infrared,
    "exposure_time_s": lambda answer: answer.get("ExifIFD:ExposureTime"),
    "f_number": lambda answer: answer.get("ExifIFD:FNumber"),
    "iso": lambda answer: answer.get("ExifIFD:ISO"),
    "latitude": lambda answer: coordinate(answer, 0),
    "longitude": lambda answer: coordinate(answer, 1),
}


def equal(said, expected):
    """Numbers as JSON carries them: ExifTool prints ten digits of a share of a second."""
    if isinstance(said, float) and isinstance(expected, int | float):
        return abs(said - expected) <= 1e-9 * max(1.0, abs(expected))
    return said == expected


def differences(said, answer):
    return {
        field: (said[field], expected(answer))
        for field, expected in EXPECTED.items()
        if not equal(said[field], expected(answer))
    }


def test_every_modelled_field_is_compared():
    modelled = read_metadata({}, "").model_dump().keys() - {"exif_data", "reader"}
    assert modelled == EXPECTED.keys()


def test_every_field_of_every_image_equals_exiftools_answer(inspected, answers):
    assert len(inspected) > 400
    assert all(one["reader"].startswith("exiftool") for one in inspected.values() if one["bytes"])
    wrong = {name: found for name in inspected if (found := differences(inspected[name], answers[name]))}
    assert not wrong


@pytest.mark.parametrize("field", list(EXPECTED))
def test_each_field_is_said_by_some_file(inspected, field):
    """Else the comparison would hold for a field that is never read."""
    assert any(found[field] is not None for found in inspected.values())


def test_every_field_of_every_video_equals_exiftools_answer(sample_data, answers):
    videos = [name for name in answers if name.lower().endswith(VIDEOS) and (sample_data / name).stat().st_size]
    assert len(videos) > 10
    with closing(open_metadata_reader()) as reader:
        for name in videos:
            said = read_metadata(reader.read(sample_data / name), reader.name).model_dump(mode="json")
            assert not differences(said, answers[name]), name


def test_the_fallback_says_the_same_of_every_image_that_pillow_can_open(sample_data, answers, inspected):
    reader, compared = PillowExifReader(), 0
    for name in inspected:
        try:
            said = read_metadata(reader.read(sample_data / name), reader.name).model_dump(mode="json")
        except MetadataUnread:
            assert name.startswith("broken/"), name
            continue
        wrong = {field for field, (ours, theirs) in differences(said, answers[name]).items() if not near(ours, theirs)}
        assert not wrong, (name, wrong)
        compared += 1
    assert compared > 400


def near(ours, theirs):
    return isinstance(ours, float) and abs(ours - theirs) < 1e-6


def test_the_hyperfire_2s_own_date_is_the_right_way_round(sample_data, answers):
    turned = [name for name, answer in answers.items() if "Reconyx:BatteryVoltageAvg" in answer]
    assert len(turned) > 20
    with closing(open_metadata_reader()) as reader:
        for name in turned:
            tags = reader.read(sample_data / name)
            assert tags["Reconyx:DateTimeOriginal"] == tags["ExifIFD:DateTimeOriginal"], name
