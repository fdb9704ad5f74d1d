"""Notes built by hand from the published offsets; `test_real_metadata.py` compares real ones with ExifTool."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varanger.ingest.adapters.reconyx_notes import complete
from varanger.ingest.domain.metadata import read_metadata
from varanger.ingest.domain.reconyx_note import read_note


def note(size, *parts):
    made = bytearray(size)
    for offset, data in parts:
        made[offset : offset + len(data)] = data
    return bytes(made)


def words(*numbers):
    return struct.pack(f"<{len(numbers)}H", *numbers)


WHEN = (6, 5, 4, 3, 2, 2024)
"""04:05:06 on the 3rd of February, as bytes: second, minute, hour, day, month, year."""
HYPERFIRE = note(
    0x6C,
    (0x00, words(0xF101, 3)),
    (0x0C, b"M\0"),
    (0x0E, words(2, 3)),
    (0x12, words(1, 2)),
    (0x16, words(6, 5, 4, 2, 3, 2024)),
    (0x24, words(4)),
    (0x28, struct.pack("<h", -11)),
    (0x2A, "H500EE05127658".encode("utf-16-le")),
    (0x50, words(1)),
    (0x54, words(9750)),
    (0x56, b"R16             "),
)
ULTRAFIRE = note(
    0x6F,
    (0x00, b"RECONYXUF\0"),
    (0x34, b"M" + bytes((2, 3)) + struct.pack("<I", 0x10002) + struct.pack("<5BH", *WHEN)),
    (0x43, bytes([4])),
    (0x46, struct.pack("<h", -11)),
    (0x48, bytes([1])),
    (0x49, words(9750)),
    (0x4B, b"H500EE05127658"),
    (0x5A, b"R16"),
)
HYPERFIRE_2 = note(
    0x9C,
    (0x00, b"RECONYXH2\0"),
    (0x34, b"M\0" + words(2, 3, 1, 2, 6, 5, 4, 2, 3, 2024, 7, 4)),
    (0x50, struct.pack("<h", -11)),
    (0x5A, words(1)),
    (0x62, words(9750)),
    (0x68, b"R16\0garbage"),
    (0x7E, "H500EE05127658".encode("utf-16-le")),
)
MICROFIRE = note(
    0xAA,
    (0x00, b"RECONYXMF\0"),
    (0x44, b"M\0" + words(2, 3, 1, 2, 6, 5, 4, 2, 3, 2024, 7, 4)),
    (0x60, struct.pack("<h", -11)),
    (0x6A, bytes([1])),
    (0x72, words(9750)),
    (0x76, b"R16"),
    (0x8C, "H500EE05127658".encode("utf-16-le")),
)
HYPERFIRE_4K = note(
    0x97,
    (0x00, b"RECONYXHF4K\0"),
    (0x28, b"M" + bytes((2, 3)) + struct.pack("<I", 0x10002) + struct.pack("<5BH", *WHEN) + bytes((7, 4))),
    (0x3A, struct.pack("<h", -11)),
    (0x44, bytes([1])),
    (0x4B, words(9750)),
    (0x51, b"R16"),
    (0x84, b"H500EE05127658"),
)
NOTES = {
    "HyperFire": HYPERFIRE,
    "UltraFire": ULTRAFIRE,
    "HyperFire 2": HYPERFIRE_2,
    "MicroFire": MICROFIRE,
    "HyperFire 4K": HYPERFIRE_4K,
}


@pytest.mark.parametrize("camera", NOTES)
def test_each_layout_says_the_same(camera):
    found = read_metadata(read_note(NOTES[camera]), "")
    assert found.model_dump(mode="json", exclude_none=True, exclude={"exif_data", "reader"}) == {
        "captured_at": "2024-02-03T04:05:06",
        "serial_number": "H500EE05127658",
        "user_label": "R16",
        "capture_method": "activityDetection",
        "sequence_number": 2,
        "sequence_length": 3,
        "event_number": 0x10002,
        "temperature_c": -11,
        "moon_phase": 4,
        "battery_v": 9.75,
        "infrared": True,
    }


@pytest.mark.parametrize("camera", NOTES)
def test_a_note_cut_short_gives_what_it_holds(camera):
    for length in range(len(NOTES[camera])):
        assert read_note(NOTES[camera][:length]).items() <= read_note(NOTES[camera]).items()


def test_a_date_written_in_the_other_byte_order():
    other = struct.pack(">6H", 6, 5, 4, 2, 3, 2024)
    assert read_note(HYPERFIRE[:0x16] + other + HYPERFIRE[0x22:])["Reconyx:DateTimeOriginal"] == "2024:02:03 04:05:06"


def test_an_old_note_is_a_reconyxs_only_if_the_make_says_so():
    old = HYPERFIRE[:2] + words(1) + HYPERFIRE[4:]
    assert read_note(old) == {}
    assert read_note(old, "BUSHNELL") == {}
    assert read_note(old, "RECONYX")["Reconyx:Sequence"] == "2 3"


def test_a_label_in_an_old_code_page():
    assert read_note(note(0x9C, (0, HYPERFIRE_2), (0x68, b"Sj\xf6n\0")))["Reconyx:UserLabel"] == "Sjön"
    assert read_note(note(0x9C, (0, HYPERFIRE_2), (0x68, "Sjön\0".encode())))["Reconyx:UserLabel"] == "Sjön"


@given(st.sampled_from(list(NOTES.values())), st.binary(max_size=200))
def test_no_note_can_hurt(begins, rest):
    read_metadata(read_note(begins[:12] + rest), "").model_dump_json()


@pytest.mark.parametrize(
    ("said", "day", "expected"),
    [
        ("2019:22:08 20:13:07", 5, "2019:08:22 20:13:07"),
        ("2021:05:07 22:43:50", 2, "2021:07:05 22:43:50"),
        ("2021:05:07 22:43:50", None, "2021:07:05 22:43:50"),
        ("2021:07:05 22:43:50", 2, "2021:07:05 22:43:50"),
        ("2019:04:04 10:04:12", 5, "2019:04:04 10:04:12"),
    ],
)
def test_the_hyperfire_2s_date_is_turned_back(tmp_path, said, day, expected):
    tags = {"Reconyx:FileNumber": 12, "Reconyx:DateTimeOriginal": said, "Reconyx:DayOfWeek": day}
    assert complete(tags, tmp_path)["Reconyx:DateTimeOriginal"] == expected
    assert complete({**tags, "Reconyx:UIBFirmwareVersion": "1"}, tmp_path)["Reconyx:DateTimeOriginal"] == said
