"""A field season through five services, as separate processes on real RabbitMQ, PostgreSQL, S3 and Triton."""

import asyncio
import csv
import hashlib
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import aio_pika
import pytest
from tests.e2e.runs import STATES, differences, expected_states
from tests.e2e.system import wait_until

from varanger.common.adapters import open_object_store
from varanger.common.topology import QUEUES

pytestmark = pytest.mark.timeout(400)
KILLED = ("ingest", "inference", "recorder", "relay")
BROKEN = (b"not JSON", b'{"type": "nobody.knows.v9", "payload": {}}')


def test_every_file_ends_where_the_truth_says(undisturbed, season):
    run, snapshot = undisturbed
    expected = expected_states(season, season.deployments)
    assert {key: one["state"] for key, one in snapshot.items()} == expected
    stats, counts = run.stats(), Counter(expected.values())
    assert stats["received"] == len(expected) == len(run.verdicts)
    assert {state: stats[state] for state in STATES} == {state: counts[state] for state in STATES}


def test_quarantined_files_say_why(undisturbed, season):
    _, snapshot = undisturbed
    assert all(one["faults"] for one in snapshot.values() if one["state"] == "quarantined")
    assert not any(one["faults"] for one in snapshot.values() if one["state"] == "media")


def test_every_prediction_names_its_release_and_its_models(undisturbed, system):
    run, snapshot = undisturbed
    (release,) = run.get(f"/v1/projects/{run.project}/releases").json()
    manifest = run.get(f"/v1/projects/{run.project}/releases/{release['release_id']}").json()["manifest"]
    shas = {stage: one["sha256"] for stage, one in manifest["stages"].items()}
    routes = set()
    for key, one in snapshot.items():
        if one["state"] != "media":
            assert one["predictions"] == [], key
            continue
        ((used, state, models),) = one["predictions"]
        assert (used, state) == (release["release_id"], "classified"), key
        assert "global" in dict(models), key
        assert all(shas[stage] == sha for stage, sha in models), key
        assert one["label"], key
        assert 0 <= one["confidence"] <= 1, key
        routes.add(one["route"])
    assert len(routes) > 1


def test_answers_belong_to_their_images(undisturbed, season):
    """Were images mixed up on the way, the demonstration release would be right as often as by chance."""
    _, snapshot = undisturbed
    truth = {
        (one.deployment_id, PurePosixPath(one.path).name): {taxon for taxon, _ in one.observations} or {"blank"}
        for one in season.media
    }
    right = sum(snapshot[key]["label"] in taxa for key, taxa in truth.items())
    assert right > 0.75 * len(truth)


async def test_the_store_holds_each_file_once(undisturbed, s3_url):
    run, snapshot = undisturbed
    counts = Counter(one["state"] for one in snapshot.values())
    store = open_object_store(s3_url)

    async def held(kind):
        return [one.key async for one in store.list(f"{kind}/{run.project}/")]

    try:
        assert len(await held("media")) == len(await held("views")) == counts["media"]
        assert len(await held("quarantine")) == counts["quarantined"]
        async with asyncio.timeout(60):
            while await held("incoming"):  # the sweeper comes every ten seconds
                await asyncio.sleep(1)
    finally:
        await store.close()


def test_what_came_in_can_be_looked_at(undisturbed, season):
    run, snapshot = undisturbed
    media = list(run.client.media(run.project, state="media"))
    assert len(media) == sum(one["state"] == "media" for one in snapshot.values())
    for one in media[::20]:
        image = run.get(f"/v1/media/{one.media_id}/image")
        assert hashlib.sha256(image.content).hexdigest() == one.sha256
        view = run.get(f"/v1/media/{one.media_id}/view")
        assert view.content.startswith(b"\xff\xd8")
    by_label = Counter(one.label for one in media)
    for label, count in by_label.items():
        assert len(list(run.client.media(run.project, label=label))) == count
    assert run.stats()["by_label"] == dict(by_label)
    for path in ("/v1/projects", f"/v1/projects/{run.project}/deployments", "/v1/dead-letters", "/", "/docs"):
        assert run.get(path).status_code == 200, path


def test_a_round_is_drawn_answered_and_reported(undisturbed, season, tmp_path):
    run, _ = undisturbed
    design = {"seed": 1, "overall": 40, "per_class": 8, "per_bin": 8}
    round_id = run.client.request_round(run.project, design).round_id
    wait_until(lambda: run.client.round(round_id).drawn_at is not None, 60, run.logs)
    folders = {one.deployment_id: one.folder for one in season.deployments}
    truth = {one.path: one.observations for one in season.media}
    files = {one.media_id: one for one in run.client.media(run.project, state="media")}
    tasks = list(run.client.tasks(round_id))
    assert len(tasks) >= 40
    reviews = []
    for task in tasks:
        file = files[task.media_id]
        seen = truth.get(f"{folders[file.deployment]}/{file.original_path}", ())
        reviews.append(
            {
                "media_id": task.media_id,
                "round_id": round_id,
                "observer": "truth",
                "observations": [{"taxon": taxon, "count": count} for taxon, count in seen],
            }
        )
    run.client.review(run.project, reviews)
    wait_until(lambda: bool((run.client.round(round_id).report or {}).get("complete")), 60, run.logs)

    table = tmp_path / "final_table.csv"
    run.client.final_table(run.project, table)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["image_name"] for row in rows} == {one.name for one in files.values()}
    assert sum(row["observer_manual"] == "truth" for row in rows) >= len(tasks)


async def test_a_broken_message_on_any_queue_ends_as_a_dead_letter(undisturbed, system):
    run, _ = undisturbed
    sent = {(queue.name, body.decode()) for queue in QUEUES for body in BROKEN}
    connection = await aio_pika.connect(system.addresses.bus)
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        for queue, body in sorted(sent):
            await channel.default_exchange.publish(aio_pika.Message(body.encode()), routing_key=queue)

    def listed():
        return [one for one in run.get("/v1/dead-letters", limit="1000").json() if (one["queue"], one["body"]) in sent]

    wait_until(lambda: len(listed()) == len(sent), 60, lambda: str(sent - {(o["queue"], o["body"]) for o in listed()}))
    assert all(one["reason"].startswith("BadMessage: ") for one in listed())
    assert system.command("dlq", "list").count("BadMessage") == len(sent)
    system.wait_ready()
    assert run.settle()["failed"] == 0


def test_kill_9_of_each_worker_changes_nothing(undisturbed, system, season, new_run):
    _, before = undisturbed
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    victims = moments.sample(KILLED, len(KILLED))
    run = new_run("killed")
    with ThreadPoolExecutor(1) as background:
        for number, name in enumerate(victims):
            process = system.processes[name]
            system.wait_ready([name])
            begun = process.handled()
            sending = background.submit(run.upload_season, season, season.deployments[number :: len(victims)])
            wait_until(lambda process=process, begun=begun: process.handled() > begun, 60, run.logs, every_s=0.02)
            time.sleep(moments.uniform(0.0, 0.25))
            assert process.kill() == -9
            assert run.stats()["pending"], "the work was over before the kill"
            time.sleep(moments.uniform(0.0, 1.0))
            system.restart(name)
            sending.result()
    stats = run.settle()
    assert stats["received"] == len(before)
    assert differences(before, run.snapshot()) == [], f"moments of the kills: seed {seed}"
