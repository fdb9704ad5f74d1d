import hashlib
import random
import re
import unicodedata
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varanger.api.domain.export_names import ExportedFile, Namer, Template, distinct_words, file_word
from varanger.api.domain.local_time import local_time

WHEN = datetime(2024, 5, 6, 7, 8, 9)
COUNTING = [template for template in list(Template) if template != Template.DEFAULT]


def file(number: int = 1, **more: object) -> ExportedFile:
    fields = {
        "media_id": f"{number:032x}",
        "name": f"ridge_20240506_070809_{number:012x}.jpg",
        "location_id": "ridge",
        "camera_id": "cam1",
        "deployment_id": "ridge-01",
        "local_time": WHEN,
        "sub_seconds": None,
        "sequence_number": None,
        "original_path": f"DCIM/100RECNX/IMG_{number:04d}.JPG",
        "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
    }
    return ExportedFile(**{**fields, **more})


def names(template: str, *files: ExportedFile) -> list[str]:
    """As an export does: those of a location and day together."""
    places = {(each.location_id, each.camera_id, each.deployment_id) for each in files}
    ordered = sorted(files, key=lambda each: (each.location_id, each.local_time or datetime.max))
    found = dict(Namer(Template(template), places).names(ordered))
    return [found[each] for each in files]


def fold(name: str) -> str:
    return unicodedata.normalize("NFD", name).casefold()


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("default", "ridge_20240506_070809_000000000001.jpg"),
        ("bohner", "ridge_2024-05-06_0001.JPG"),
        ("camtrapr", "ridge__cam1__2024-05-06__07-08-09(1).JPG"),
        ("megadetector", "ridge-01_DCIM_100RECNX_IMG_0001.2024-05-06_07-08-09.JPG"),
    ],
)
def test_each_template_writes_as_its_tool_does(template, expected):
    assert names(template, file()) == [expected]


def test_camtrapr_leaves_the_camera_out_where_there_is_none():
    assert names("camtrapr", file(camera_id=None)) == ["ridge__2024-05-06__07-08-09(1).JPG"]


def test_numbers_follow_the_capture_time_and_then_the_cameras_own_order():
    files = [
        file(1, local_time=WHEN, sub_seconds=0.5, original_path="a"),
        file(2, local_time=WHEN, sub_seconds=0.1, original_path="z"),
        file(3, local_time=WHEN - timedelta(hours=1), original_path="z"),
        file(4, local_time=WHEN, sub_seconds=0.5, sequence_number=2, original_path="b"),
        file(5, local_time=WHEN, sub_seconds=0.5, sequence_number=2, original_path="a"),
        file(7, local_time=WHEN, sub_seconds=0.5, sequence_number=2, original_path="c", sha256="b"),
        file(6, local_time=WHEN, sub_seconds=0.5, sequence_number=2, original_path="c", sha256="a"),
    ]
    assert [name[-8:-4] for name in names("bohner", *files)] == ["0003", "0002", "0001", "0005", "0004", "0007", "0006"]


@pytest.mark.parametrize("template", list(Template))
def test_the_order_of_the_files_changes_no_name(template):
    files = [file(n, local_time=WHEN + timedelta(seconds=n % 3), sequence_number=n % 2) for n in range(40)]
    shuffled = files.copy()
    random.Random(1).shuffle(shuffled)
    assert dict(zip(shuffled, names(template, *shuffled), strict=True)) == dict(
        zip(files, names(template, *files), strict=True)
    )


def test_bohner_counts_per_site_and_day_camtrapr_per_camera_and_minute():
    files = [
        file(1),
        file(2, local_time=WHEN.replace(second=59), camera_id="cam2"),
        file(3, local_time=WHEN.replace(second=59)),
        file(4, local_time=WHEN.replace(minute=9, second=0)),
        file(5, local_time=WHEN + timedelta(days=1)),
        file(6, location_id="valley", camera_id="cam1", deployment_id="valley-01"),
    ]
    assert [name[-8:-4] for name in names("bohner", *files)] == ["0001", "0002", "0003", "0004", "0001", "0001"]
    assert [name.rpartition("(")[2] for name in names("camtrapr", *files)] == [
        "1).JPG",
        "1).JPG",
        "2).JPG",
        "1).JPG",
        "1).JPG",
        "1).JPG",
    ]


def test_a_day_of_more_than_9999_images_has_longer_numbers_that_still_sort():
    files = [file(n, local_time=WHEN.replace(hour=0) + timedelta(seconds=n)) for n in range(10_001)]
    found = names("bohner", *files)
    assert (found[0], found[-1]) == ("ridge_2024-05-06_00001.JPG", "ridge_2024-05-06_10001.JPG")
    assert found == sorted(found)
    assert names("bohner", *files[:9_999])[-1] == "ridge_2024-05-06_9999.JPG"


def test_megadetector_numbers_what_it_would_overwrite():
    files = [file(1, original_path="A/b.JPG"), file(2, original_path="a_B.jpg"), file(3, original_path="a_B(2).jpg")]
    assert names("megadetector", *files) == [
        "ridge-01_A_b.2024-05-06_07-08-09.JPG",
        "ridge-01_a_B(3).2024-05-06_07-08-09.jpg",
        "ridge-01_a_B(2).2024-05-06_07-08-09.jpg",
    ]


def test_without_a_date_the_own_name_stays_and_megadetector_says_unknown():
    dateless = file(local_time=None, name="ridge_nodate_000000000001.jpg")
    for template in ("default", "bohner", "camtrapr"):
        assert names(template, dateless) == ["ridge_nodate_000000000001.jpg"]
    expected = "ridge-01_DCIM_100RECNX_IMG_0001.unknown_datetime.6b86b273ff34.JPG"
    assert names("megadetector", dateless) == [expected]


def test_a_video_keeps_its_extension():
    video = file(name="ridge_20240506_070809_000000000001.mp4", original_path="DCIM/PICT0001.MP4")
    assert [names(template, video)[0][-4:] for template in COUNTING] == [".MP4", ".MP4", ".MP4"]


def test_what_is_written_otherwise_than_ingest_writes_it_stays_as_it_was():
    assert names("megadetector", file(original_path="IMG.jpeg")) == ["ridge-01_IMG.2024-05-06_07-08-09.jpeg"]
    assert names("megadetector", file(original_path="IMG.001")) == ["ridge-01_IMG.001.2024-05-06_07-08-09.jpg"]


def test_sites_that_a_file_system_takes_for_one_get_part_of_a_hash():
    words = distinct_words({"Ridge", "ridge", "valley", "va:lley", "va?lley", "猫", "Šumava 3"}, file_word)
    assert (words["valley"], words["猫"], words["Šumava 3"]) == ("valley", "猫", "Šumava 3")
    for each in ("Ridge", "ridge", "va:lley", "va?lley"):
        assert re.fullmatch(r"(ridge|va-lley)-[0-9a-f]{6}", words[each].lower())
    assert len({fold(word) for word in words.values()}) == len(words)


def test_no_card_begins_with_another_and_the_separator():
    words = distinct_words({"a", "a_1", "b", "b1"}, file_word, separator="_")
    assert (words["b"], words["b1"]) == ("b", "b1")
    files = [
        file(1, deployment_id="a", original_path="1/x.jpg"),
        file(2, deployment_id="a_1", original_path="x.jpg", location_id="valley"),
    ]
    first, second = names("megadetector", *files)
    assert fold(first) != fold(second)


TEXT = st.text(max_size=12) | st.sampled_from(["a", "A", "a_", "_a", "a__b", "a_b", "ß", "ss", "Å", "Å", "."])
PATHS = st.sampled_from(["x.JPG", "1/x.JPG", "1_x.jpg", "x(2).JPG", "X.jpeg", "x", "?.jpg"]) | st.text(
    min_size=1, max_size=300
).filter(lambda text: text.strip("/. ") != "")
TIMES = st.none() | st.sampled_from([WHEN, WHEN + timedelta(seconds=1), WHEN + timedelta(days=1)])


@st.composite
def projects(draw: st.DrawFn) -> list[ExportedFile]:
    """A deployment is one camera at one location."""
    cards = ["d", "D", "d_1", "d.1", "d-1"]
    places = {card: (draw(TEXT), draw(TEXT | st.none())) for card in cards}
    drawn = draw(st.lists(st.tuples(st.sampled_from(cards), TIMES, PATHS), max_size=15))
    return [
        file(
            n,
            deployment_id=card,
            location_id=places[card][0],
            camera_id=places[card][1],
            local_time=at,
            original_path=path,
        )
        for n, (card, at, path) in enumerate(drawn)
    ]


@given(files=projects(), template=st.sampled_from(list(Template)))
def test_no_two_names_are_ever_alike_and_every_file_system_takes_them(files, template):
    found = names(template, *files)
    assert len({fold(name) for name in found}) == len(files)
    for name in found:
        assert not re.search(r'[\x00-\x1f\x7f/\\:*?"<>|]', name)
        assert len(name.encode()) <= 255
        assert name.strip(" .") == name


@pytest.mark.parametrize(
    ("correction", "expected"),
    [(0.0, WHEN), (-3600.0, WHEN - timedelta(hours=1)), (0.49, WHEN), (0.5, WHEN + timedelta(seconds=1)), (-0.5, WHEN)],
)
def test_the_local_time_is_to_the_second(correction, expected):
    assert local_time(WHEN, correction) == expected
    assert local_time(None, correction) is None


def test_only_later_numbers_of_the_same_day_move_when_a_file_comes_late():
    files = [file(n, local_time=WHEN + timedelta(minutes=n)) for n in range(4)]
    late = replace(file(9), local_time=WHEN + timedelta(minutes=1, seconds=30))
    assert names("bohner", *files, late)[:2] == names("bohner", *files)[:2]
    assert names("bohner", *files, late)[2:] == [f"ridge_2024-05-06_{number:04d}.JPG" for number in (4, 5, 3)]
