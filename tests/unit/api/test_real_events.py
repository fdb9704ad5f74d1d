"""Real bursts: what the cameras' own numbers, or the time between images, make of them."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from varanger.api.domain.events import Shot, bursts
from varanger.common.ids import new_id
from varanger.common.words import CaptureMethod

METHODS = {"M": CaptureMethod.ACTIVITY_DETECTION, "T": CaptureMethod.TIME_LAPSE}


@pytest.fixture(scope="session")
def tags(sample_data: Path) -> dict[str, dict]:
    listed = json.loads((sample_data / "expected_exiftool" / "exiftool_12.57_numeric.json").read_text())
    return {each["SourceFile"]: each for each in listed}


def folder(tags: dict[str, dict], within: str) -> dict[str, Shot]:
    """The shots of a folder, by their files' names without what they share."""
    found = {path: _shot(path, each) for path, each in tags.items() if within in path}
    assert found, within
    return found


def _shot(path: str, tags: dict) -> Shot:
    def tag(name: str):
        return next((value for key, value in tags.items() if key.split(":")[-1] == name), None)

    number, length = (int(word) for word in str(tag("Sequence") or "0 0").split())
    return Shot(
        media_id=new_id(),
        sha256=path,
        at=datetime.strptime(tags["ExifIFD:DateTimeOriginal"], "%Y:%m:%d %H:%M:%S"),
        capture_method=METHODS.get(tag("TriggerMode")),
        serial_number=tag("SerialNumber"),
        sequence_number=number,
        sequence_length=length,
        event_number=tag("EventNumber"),
    )


def events(shots: dict[str, Shot]) -> list[list[str]]:
    """In order; the files' numbers."""
    names = {shot.media_id: path.rsplit("/", 1)[-1].split(".")[0][-3:] for path, shot in shots.items()}
    found = sorted(bursts("d", list(shots.values()), 60.0), key=lambda burst: burst.members[0].when)
    return [[names[shot.media_id] for shot in burst.members] for burst in found]


def test_hyperfire_2_numbers_its_triggers(tags):
    assert events(folder(tags, "bursts_reconyx_hf2/")) == [
        ["229", "230", "231"],
        ["232"],
        ["235", "236", "237"],
        ["238"],
    ]


def test_bushnell_does_not_so_the_gap_decides(tags):
    found = events(folder(tags, "bursts_bushnell/"))
    assert found == [["090", "091"], ["092", "093", "094", "095"], ["096", "097", "098", "099", "100"]]


@pytest.mark.parametrize("camera", ["vj_ga_hu_1/", "vj_ga_hu_2/"])
def test_small_mammal_boxes_mix_pairs_and_time_lapse(tags, camera):
    shots = folder(tags, f"smallmammal_reconyx_sm750/raw_images/vestre_jakobselv/{camera}")
    found = bursts("d", list(shots.values()), 60.0)
    lapses = [burst for burst in found if burst.capture_method == CaptureMethod.TIME_LAPSE]
    triggers = [burst for burst in found if burst.capture_method == CaptureMethod.ACTIVITY_DETECTION]
    assert len(found) == len(lapses) + len(triggers)
    assert {len(burst.members) for burst in lapses} == {1}
    # The last trigger's second image is beyond the published hundred.
    whole = triggers if camera == "vj_ga_hu_1/" else triggers[:-1]
    assert {tuple(shot.sequence_number for shot in burst.members) for burst in whole} == {(1, 2)}


def test_time_lapse_cards_are_one_event_each(tags):
    shots = folder(tags, "sd_cards_idfg/")
    assert [len(event) for event in events(shots)] == [1] * len(shots)
