"""A clock that was wrong, said after the images were classified: times, events and exports move, and no file does."""

import csv
from collections import defaultdict
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.e2e.system import wait_until

from varanger.client.models.projects import Offset
from varanger.common.adapters import open_object_store
from varanger.fieldsim import SeasonPlan, draw_season

pytestmark = pytest.mark.timeout(400)
FAST = timedelta(days=-1, hours=-2, minutes=-3)
"""The camera was a day ahead: dates in names of exports move too."""
BURST = 3


@pytest.fixture(scope="module")
def bursts(tmp_path_factory):
    """A card of bursts of three."""
    plan = SeasonPlan(seed=5, sites=1, images=12, burst_length=(BURST, BURST), time_lapse_share=0)
    return draw_season(plan, tmp_path_factory.mktemp("bursts") / "cards")


def table(write, run, folder, **options):
    """The rows of a table that the client writes."""
    path = folder / "table.csv"
    write(run.project, path, **options)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def stored(s3_url, project):
    """Key, size and time of every original and view of the project."""
    store = open_object_store(s3_url)
    try:
        return [one for kind in ("media", "views") async for one in store.list(f"{kind}/{project}/")]
    finally:
        await store.close()


def by_event(media):
    found = defaultdict(set)
    for one in media:
        found[one.event_id].add(one.original_path)
    return sorted(map(sorted, found.values()))


async def test_a_correction_after_classification_moves_times_events_and_exports_and_no_file(
    system, new_run, bursts, s3_url, tmp_path
):
    run = new_run("corrected")
    (deployment,) = bursts.deployments
    folder = bursts.folder / deployment.folder
    truth = defaultdict(list)
    for one in bursts.media:
        truth[one.event].append(bursts.folder / one.path)
    late = next(files for files in truth.values() if len(files) == BURST)[1]
    early = [path for files in truth.values() for path in files if path != late]
    run.add_deployment(deployment)
    run.client.upload(run.project, deployment.deployment_id, early, below=folder)
    run.settle()
    before = {one.media_id: one for one in run.client.media(run.project)}
    objects = await stored(s3_url, run.project)
    events = {one.event_id: one for one in run.client.events(run.project)}
    names = {kind: table(run.client.export_names, run, tmp_path, template=kind) for kind in ("default", "bohner")}
    rows = table(run.client.final_table, run, tmp_path)
    assert {one.state for one in before.values()} == {"media"}
    assert all(one.label for one in before.values())
    assert len(objects) == 2 * len(early)

    run.client.patch_deployment(run.project, deployment.deployment_id, clock_correction=Offset(FAST.total_seconds()))
    wait_until(lambda: run.client.deployment(run.project, deployment.deployment_id).applied, 60, run.logs)

    after = {one.media_id: one for one in run.client.media(run.project)}
    zone = ZoneInfo(deployment.time_zone)
    assert after.keys() == before.keys()
    for media_id, one in after.items():
        was = before[media_id]
        assert one.captured_at == was.captured_at
        assert one.captured_at_local == was.captured_at_local + FAST
        assert one.captured_at_utc == one.captured_at_local.replace(tzinfo=zone)
        assert one.clock_correction_s == FAST.total_seconds()
        kept = ("name", "sha256", "original_path", "event_id", "label", "confidence", "observations", "release")
        assert [getattr(one, name) for name in kept] == [getattr(was, name) for name in kept]
    moved = {one.event_id: one for one in run.client.events(run.project)}
    assert moved.keys() == events.keys()
    assert all(one.event_start == events[event].event_start + FAST for event, one in moved.items())
    assert all(one.event_end == events[event].event_end + FAST for event, one in moved.items())
    assert await stored(s3_url, run.project) == objects

    kept = ("media_id", "name", "export_name", "original_path", "sha256")
    again = table(run.client.export_names, run, tmp_path, template="default")
    assert [[row[name] for name in kept] for row in again] == [[row[name] for name in kept] for row in names["default"]]
    exported = {row["media_id"]: row for row in table(run.client.export_names, run, tmp_path, template="bohner")}
    assert exported.keys() == after.keys()
    for row in names["bohner"]:
        dated = f"{deployment.location_id}_{after[row['media_id']].captured_at_local.date()}_"
        assert exported[row["media_id"]]["export_name"].startswith(dated)
        assert not row["export_name"].startswith(dated)
    corrected = table(run.client.final_table, run, tmp_path)
    local = {one.name: one.captured_at_local for one in after.values()}
    assert len(corrected) == len(rows)
    for row in corrected:
        assert (row["date"], row["time"]) == (
            str(local[row["image_name"]].date()),
            str(local[row["image_name"]].time()),
        )
    assert {row["date"] for row in corrected} != {row["date"] for row in rows}

    run.client.upload(run.project, deployment.deployment_id, [late], below=folder)
    run.settle()
    whole = list(run.client.media(run.project))
    expected = sorted(sorted(path.relative_to(folder).as_posix() for path in files) for files in truth.values())
    assert by_event(whole) == expected
    (came,) = (one for one in whole if one.media_id not in before)
    assert came.captured_at_local == came.captured_at + FAST
    assert {one.event_id: one.media_count for one in run.client.events(run.project)}[came.event_id] == BURST
    assert {one.media_id: one.name for one in whole if one.media_id in before} == {
        media_id: one.name for media_id, one in before.items()
    }
