"""Every real image and video of the sample data through the whole distributed path, each worker killed on the way.

What becomes of each is told by its row in MANIFEST.tsv, and by the tables below where a row cannot tell.
"""

import csv
import hashlib
import json
import random
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

import pytest
from tests.e2e.runs import STATES, Run
from tests.e2e.system import wait_until
from tests.integration.ingest.test_real_files import BROKEN

from varanger.client import Media

pytestmark = pytest.mark.timeout(600)
IMAGES = frozenset({".jpg", ".jpeg", ".png"})
VIDEOS = frozenset({".mp4", ".avi", ".mov"})
KILLED = ("ingest", "inference", "recorder", "relay")
CARDS = {"sd_cards_idfg": (15, 10), "rename_wildco": (5, 5), "camtrapR": (69, 35)}
"""Trees as they lay on cards: how many files are in each, of how many names; some come again in several folders."""
BURSTS = {
    "bursts_reconyx_hf2": ("0229 0230 0231", "0232", "0235 0236 0237", "0238"),  # the camera's own numbers
    "bursts_bushnell": ("0090 0091", "0092 0093 0094 0095", "0096 0097 0098 0099 0100"),  # no gap over a minute
}
"""Folder -> the last four digits of the names of each event's members."""


@dataclass(frozen=True)
class Everything:
    """The sample data after their way."""

    run: Run
    rows: dict[PurePosixPath, dict[str, str]]
    first: dict[PurePosixPath, PurePosixPath]
    """Each file -> the first of the same content, in the order they were sent."""
    found: dict[PurePosixPath, Media]

    def media(self, path: PurePosixPath) -> Media:
        """What a file's content became; of a duplicate, the first's."""
        return self.found[self.first[path]]

    def of(self, folder: str) -> list[PurePosixPath]:
        return [path for path in self.rows if path.parts[0] == folder]


@pytest.fixture(scope="module")
def rows(sample_data):
    """Manifest rows of all images and videos by path, in the order they are sent."""
    with (sample_data / "MANIFEST.tsv").open(newline="") as file:
        found = {PurePosixPath(row["path"]): row for row in csv.DictReader(file, delimiter="\t")}
    return {path: found[path] for path in sorted(found) if path.suffix.lower() in IMAGES | VIDEOS}


@pytest.fixture(scope="module")
def everything(running_system, sample_data, rows):
    """All of them sent, and settled, although each worker was killed meanwhile."""
    run = running_system.new_run(f"real-{random.randrange(16**6):06x}")
    cards = defaultdict(list)
    first, seen = {}, {}
    for path in rows:
        cards[path.parts[0]].append(sample_data / path)
        first[path] = seen.setdefault(hashlib.sha256((sample_data / path).read_bytes()).hexdigest(), path)

    def send():
        for folder, files in cards.items():
            run.client.put_deployment(run.project, folder, location_id=folder)
            run.verdicts.extend(run.client.upload(run.project, folder, files, below=sample_data))

    with ThreadPoolExecutor(1) as background:
        sending = background.submit(send)
        for number, name in enumerate(random.sample(KILLED, len(KILLED)), start=1):
            settled = len(rows) * number // (len(KILLED) + 2)
            wait_until(lambda settled=settled: done(run) >= settled or sending.done(), 240, run.logs, every_s=0.2)
            assert run.stats()["pending"] or not sending.done(), "the work was over before the kill"
            assert running_system.processes[name].kill() == -9
            running_system.restart(name)
        sending.result()
    run.settle()
    found = {PurePosixPath(one.original_path): one for one in run.client.media(run.project)}
    return Everything(run, rows, first, found)


def done(run):
    stats = run.stats()
    return stats["received"] - stats["pending"]


def test_all_of_them_end_somewhere_and_the_counts_add_up(everything):
    assert len(everything.rows) > 1300
    stats = everything.run.stats()
    assert set(everything.found) == set(everything.rows)
    assert stats["received"] == len(everything.rows)
    counts = Counter(one.state for one in everything.found.values())
    assert {state: stats[state] for state in STATES} == {state: counts[state] for state in STATES}
    assert stats["failed"] == stats["pending"] == 0
    assert stats["media"] > 1200


def test_each_content_is_there_once_and_what_is_whole_is_media_with_an_answer(everything):
    for path, one in everything.found.items():
        if everything.first[path] != path:
            assert one.state == "duplicate", path
            assert one.duplicate_of == everything.media(path).media_id, path
        elif path.parts[0] != "broken":
            assert one.state == "media", path
        if one.state == "media":
            assert one.label, path
            assert one.release, path
            assert 0 <= one.confidence <= 1, path
    names = Counter(one.name for one in everything.found.values() if one.state == "media")
    assert max(names.values()) == 1


def test_dates_are_the_manifests(everything):
    compared = 0
    for path, row in everything.rows.items():
        if row["datetime"]:
            assert everything.media(path).captured_at == datetime.strptime(row["datetime"], "%Y:%m:%d %H:%M:%S"), path
            compared += 1
    assert compared > 370


@pytest.mark.parametrize("folder", CARDS)
def test_a_card_keeps_its_tree(everything, folder):
    paths = everything.of(folder)
    assert (len(paths), len({path.name for path in paths})) == CARDS[folder]
    for path in paths:
        assert everything.found[path].original_path == str(path)
        assert everything.found[path].original_name == path.name
        assert everything.media(path).state == "media", path


@pytest.mark.parametrize("folder", BURSTS)
def test_bursts_are_events(everything, folder):
    members = defaultdict(list)
    for path in everything.of(folder):
        members[everything.found[path].event_id].append(path.stem[-4:])
    assert sorted(" ".join(sorted(each)) for each in members.values()) == sorted(BURSTS[folder])
    events = {
        one.event_id: one.media_count for one in everything.run.client.events(everything.run.project, deployment=folder)
    }
    assert events == {event: len(each) for event, each in members.items()}


@pytest.mark.parametrize("folder", ["sd_cards_idfg", "rename_wildco"])
def test_each_time_lapse_shot_is_an_event_of_its_own(everything, folder):
    shots = [everything.found[path] for path in everything.of(folder)]
    assert {shot.capture_method for shot in shots} == {"timeLapse"}
    assert len({shot.event_id for shot in shots}) == len(shots)


def test_broken_files_end_as_decided(everything):
    paths = everything.of("broken")
    assert {path.name for path in paths} == set(BROKEN)
    for path in paths:
        state, reason = BROKEN[path.name]
        whole = everything.run.client.one_media(everything.media(path).media_id)
        assert (whole.state, [fault.reason for fault in whole.faults]) == (state, [reason] if reason else []), path
        assert ("truncated" in whole.flags) == ("truncated_file" in path.name), path


def test_videos_have_their_duration_and_answered_frames(everything, sample_data):
    answers = json.loads((sample_data / "expected_exiftool" / "exiftool_12.57_numeric.json").read_text())
    durations = {one["SourceFile"]: one.get("QuickTime:Duration", one.get("Composite:Duration")) for one in answers}
    videos = [path for path in everything.rows if path.suffix.lower() in VIDEOS and path.parts[0] != "broken"]
    assert len(videos) == 13
    for path in videos:
        whole = everything.run.client.one_media(everything.media(path).media_id)
        assert whole.frame_rate > 0, path
        if durations.get(str(path)):
            assert whole.duration_s == pytest.approx(durations[str(path)], abs=1 / whole.frame_rate + 0.01), path
        assert whole.duration_s > 0, path
        answered = {one.frame_number for one in whole.predictions if one.state == "classified"}
        assert whole.frame_numbers, path
        assert answered == set(whole.frame_numbers), path
