"""Every real image and video of the sample data through the whole distributed path, each worker killed on the way."""

import csv
import hashlib
import random
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import pytest
from tests.e2e.runs import STATES
from tests.e2e.system import wait_until

pytestmark = pytest.mark.timeout(600)
IMAGES = frozenset({".jpg", ".jpeg", ".png"})
VIDEOS = frozenset({".mp4", ".avi", ".mov"})
BROKEN = "broken/"
"""The sample data keep files that are known to be damaged there."""
KILLED = ("ingest", "inference", "recorder", "relay")


@pytest.fixture(scope="module")
def cards(sample_data):
    """Folder -> the paths below the sample data that are images or videos, in the order they are sent."""
    found = defaultdict(list)
    with (sample_data / "MANIFEST.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            path = PurePosixPath(row["path"])
            if path.suffix.lower() in IMAGES | VIDEOS:
                found[path.parts[0]].append(path)
    return {folder: sorted(paths) for folder, paths in sorted(found.items())}


def test_all_of_them_end_somewhere_and_the_counts_add_up(system, new_run, sample_data, cards):
    run = new_run("real")
    paths = [path for folder in cards.values() for path in folder]
    assert len(paths) > 1300
    first = {}
    for path in paths:
        first.setdefault(hashlib.sha256((sample_data / path).read_bytes()).hexdigest(), path)

    def send():
        for folder, card in cards.items():
            run.client.put_deployment(run.project, folder, location_id=folder)
            files = [sample_data / path for path in card]
            run.verdicts.extend(run.client.upload(run.project, folder, files, below=sample_data))

    with ThreadPoolExecutor(1) as background:
        sending = background.submit(send)
        for number, name in enumerate(random.sample(KILLED, len(KILLED)), start=1):
            settled = len(paths) * number // (len(KILLED) + 2)
            wait_until(lambda settled=settled: done(run) >= settled or sending.done(), 240, run.logs, every_s=0.2)
            assert run.stats()["pending"] or not sending.done(), "the work was over before the kill"
            assert system.processes[name].kill() == -9
            system.restart(name)
        sending.result()
    stats = run.settle()

    found = {PurePosixPath(one.original_path): one for one in run.client.media(run.project)}
    assert set(found) == set(paths)
    assert stats["received"] == len(paths)
    counts = Counter(one.state for one in found.values())
    assert {state: stats[state] for state in STATES} == {state: counts[state] for state in STATES}
    assert stats["failed"] == stats["pending"] == 0
    duplicates = {path for path, one in found.items() if one.state == "duplicate"}
    assert duplicates == set(paths) - set(first.values())
    for path, one in found.items():
        if path in duplicates:
            continue
        if path.suffix.lower() in VIDEOS:
            assert one.state == "quarantined", path
        elif not str(path).startswith(BROKEN):
            assert one.state == "media", path
        if one.state == "media":
            assert one.label, path
            assert one.release, path
            assert 0 <= one.confidence <= 1, path
    assert stats["media"] > 1200


def done(run):
    stats = run.stats()
    return stats["received"] - stats["pending"]
