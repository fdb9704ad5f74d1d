import csv
import io
from datetime import datetime

from varanger.api.domain.final_table import (
    COLUMNS,
    MachineAnswer,
    TableImage,
    machine_answer,
    persons_answer,
    rows,
)
from varanger.common.catalog.tables import QcTask
from varanger.common.ids import new_id
from varanger.common.words import Detection, Observation, Prediction

WHEN = datetime(2019, 7, 8, 8, 0, 0)
CLASSES = ("cricetidae", "empty", "lem_lem")
KNOWN = frozenset(CLASSES)


def _cells(image: TableImage, classes=CLASSES) -> dict[str, tuple[str, str, str]]:
    """{class_id: (presence_automatic, presence_manual, confidence_automatic)}"""
    return {row[5]: row[6:9] for row in rows(image, classes)}


def test_where_nobody_looked_is_na_and_never_0():
    image = TableImage("loc", "site", WHEN, "a.jpg", MachineAnswer({"empty": 0.99}, KNOWN))
    assert _cells(image) == {
        "cricetidae": ("0", "NA", "NA"),
        "empty": ("1", "NA", "0.99"),
        "lem_lem": ("0", "NA", "NA"),
    }
    assert set(_cells(TableImage("loc", "site", WHEN, "a.jpg")).values()) == {("NA", "NA", "NA")}


def test_a_bad_image_says_nothing_of_any_class():
    machine = machine_answer("bad_quality", 0.9, [], [], KNOWN)
    person = persons_answer([], bad_quality=True, observer="hb", kind="quality_check_random")
    cells = _cells(TableImage("loc", "site", WHEN, "a.jpg", machine, person), (*CLASSES, "bad_quality"))
    assert cells["lem_lem"] == cells["empty"] == ("NA", "NA", "NA")
    assert cells["bad_quality"] == ("1", "1", "0.9")


def test_a_class_the_release_does_not_know_was_not_looked_for():
    image = TableImage("loc", "site", WHEN, "a.jpg", machine_answer("blank", 0.9, [], [], ["cricetidae"]))
    assert _cells(image)["lem_lem"][0] == "NA"
    assert _cells(image)["cricetidae"][0] == "0"


def test_several_species_each_with_their_own_confidence():
    machine = machine_answer(
        "lem_lem", 0.9, [("lem_lem", 0.9), ("cricetidae", 0.6), ("cricetidae", 0.4)], ["lem_lem", "cricetidae"], KNOWN
    )
    person = persons_answer(["lem_lem"], bad_quality=False, observer="hb", kind="corrected_image_label")
    cells = _cells(TableImage("loc", "site", WHEN, "a.jpg", machine, person))
    assert cells == {
        "cricetidae": ("1", "0", "0.6"),
        "empty": ("0", "0", "NA"),
        "lem_lem": ("1", "1", "0.9"),
    }


LEMMING = Prediction(
    label="lem_lem",
    confidence=0.9,
    route="classifier",
    observations=(Observation(taxon="lem_lem", count=1),),
    detections=(Detection(stage="classifier", label="lem_lem", confidence=0.9, bbox=(0, 0, 1, 1)),),
)
BLANK = Prediction(label="blank", confidence=0.95, route="classifier")


async def test_the_table_of_a_project(house):
    await house.put_in_force("empty", "lem_lem", "cricetidae")
    lemming = await house.take_in("b.jpg", datetime(2019, 7, 8, 20), LEMMING)
    await house.take_in("a.jpg", datetime(2019, 7, 8, 8), BLANK)
    await house.take_in("dateless.jpg")
    round_id = new_id()
    async with house.catalog.writing() as session:
        session.add(
            QcTask(
                round_id=round_id,
                media_id=lemming,
                project_id="tundra",
                position=0,
                camera_setup="default",
                label="lem_lem",
                confidence=0.9,
                samples=["overall"],
                inclusion_probability=1.0,
            )
        )
    review = {
        "observer": "hb",
        "observations": [{"taxon": "mus_erm"}],
        "round_id": str(round_id),
        "comment": 'white, "x"',
    }
    assert (await house.post(f"/v1/media/{lemming}/reviews", review, "review")).status_code == 201
    answer = await house.get("/v1/projects/tundra/exports/final-table")
    assert answer.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert tuple(table[0]) == COLUMNS
    assert sorted({row["class_id"] for row in table}) == ["cricetidae", "empty", "lem_lem", "mus_erm"]
    assert len(table) == 3 * 4
    by = {(row["image_name"], row["class_id"]): row for row in table}
    assert by["a.jpg", "empty"] == {
        "locality": "NA",
        "site": "north",
        "date": "2019-07-08",
        "time": "08:00:00",
        "image_name": "a.jpg",
        "class_id": "empty",
        "presence_automatic": "1",
        "presence_manual": "NA",
        "confidence_automatic": "0.95",
        "observer_manual": "NA",
        "type_manual_classification": "NA",
        "comment": "NA",
    }
    assert by["b.jpg", "lem_lem"]["presence_manual"] == "0"
    assert by["b.jpg", "lem_lem"]["type_manual_classification"] == "quality_check_random"
    assert by["b.jpg", "mus_erm"]["presence_manual"] == "1"
    assert by["b.jpg", "mus_erm"]["presence_automatic"] == "NA"
    assert by["b.jpg", "mus_erm"]["comment"] == 'white, "x"'
    assert by["dateless.jpg", "empty"]["presence_automatic"] == "NA"
    assert by["dateless.jpg", "empty"]["date"] == "NA"
    named = await house.get("/v1/projects/tundra/exports/final-table", names="bohner")
    assert [row["image_name"] for row in csv.DictReader(io.StringIO(named.text))][:8:4] == [
        "north_2019-07-08_0001.JPG",
        "north_2019-07-08_0002.JPG",
    ]
    assert (await house.get("/v1/projects/nowhere/exports/final-table")).status_code == 404
