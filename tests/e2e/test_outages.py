"""What stands behind the services goes away in the middle of the work: nothing is lost, and it goes on by itself."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from tests.e2e.runs import Snapshot, differences, only
from tests.e2e.system import wait_until

from varanger.fieldsim import Season, SimulatedDeployment

pytestmark = pytest.mark.timeout(400)
CAMERAS = 2
"""Of the season's six: enough to be in the middle of."""


@dataclass(frozen=True)
class Cards:
    """What is sent, and what must come of it."""

    season: Season
    cameras: tuple[SimulatedDeployment, ...]
    expected: Snapshot

    def send(self, run, on_answer=lambda: None):
        run.upload_season(self.season, self.cameras, on_answer)

    def compare(self, run, **options):
        assert differences(self.expected, run.snapshot(**options)) == []


@pytest.fixture
def cards(season, undisturbed):
    cameras = season.deployments[:CAMERAS]
    return Cards(season, cameras, only(undisturbed[1], cameras))


def wait_for_work(system, run, *names):
    """Until each of these has ended something since now."""
    begun = {name: system.processes[name].handled() for name in names}
    wait_until(
        lambda: all(system.processes[name].handled() > begun[name] for name in names), 60, run.logs, every_s=0.02
    )


def upload_one(run, deployment):
    return httpx.post(
        f"{run.url}/v1/projects/{run.project}/deployments/{deployment}/media",
        headers={"Authorization": f"Bearer {run.key}"},
        files=[("files", ("late.txt", b"what the store cannot take now, it can take later"))],
        timeout=120,
    )


def test_the_broker_closes_every_connection(system, cards, new_run, broker_admin):
    run = new_run("broker")
    vhost = urlsplit(system.addresses.bus).path.removeprefix("/")
    with ThreadPoolExecutor(1) as background:
        sending = background.submit(cards.send, run)
        for names in (("ingest",), ("recorder", "inference")):
            wait_for_work(system, run, *names)
            broker_admin("close_all_connections", "--vhost", vhost, "e2e")
        sending.result()
    run.settle()
    cards.compare(run)


def test_the_object_store_is_cut_off(system, cards, new_run, store_gate):
    run, camera = new_run("store"), cards.cameras[0].deployment_id
    cards.send(run)
    store_gate.cut()
    try:
        before = run.stats()
        answer = upload_one(run, camera)
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert "retry-after" in answer.headers
        assert run.stats()["received"] == before["received"]
        time.sleep(3)
        assert run.stats()["failed"] == 0
    finally:
        store_gate.open()
    run.settle()
    cards.compare(run)
    assert upload_one(run, camera).json()["results"][0]["verdict"] == "accepted"
    assert run.settle()["received"] == len(cards.expected) + 1


def test_the_model_server_is_cut_off(system, cards, new_run, model_gate):
    run = new_run("models")
    with ThreadPoolExecutor(1) as background:
        sending = background.submit(cards.send, run)
        wait_for_work(system, run, "inference")
        model_gate.cut()
        try:
            sending.result()
            time.sleep(3)
            assert run.stats()["failed"] == 0
        finally:
            model_gate.open()
    run.settle()
    cards.compare(run)


def test_the_database_ends_every_session(system, cards, new_run, postgres_admin_url):
    run = new_run("database")
    name = urlsplit(system.addresses.catalog).path.removeprefix("/")
    ended = 0
    with psycopg.connect(postgres_admin_url, autocommit=True) as admin, ThreadPoolExecutor(1) as background:
        sending = background.submit(cards.send, run)
        for _ in range(4):
            time.sleep(1)
            query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
            ended += admin.execute(query, [name]).fetchone()[0]
        sending.result()
    assert ended
    run.settle()
    # A session that ends in the very commit may leave the client without its answer, and it sends the file again.
    cards.compare(run, sent_again=True)


def test_a_worker_that_starts_before_its_store_waits_for_it(system, store_gate):
    """Nothing orders the start of machines that come back after a power cut."""
    ingest = system.processes["ingest"]
    assert ingest.stop() == 0, ingest.tail()
    store_gate.cut()
    try:
        ingest.start()
        wait_until(lambda: "service.waiting" in ingest.tail(), 60, ingest.tail)
        assert not ingest.is_ready()
    finally:
        store_gate.open()
    system.wait_ready(["ingest"])


def test_the_gateway_is_killed_while_files_come_in(system, cards, new_run):
    """What it answered is durable (promise 1); what it did not answer is sent again."""
    run, gateway = new_run("gateway"), system.processes["api"]
    answered = threading.Event()
    with ThreadPoolExecutor(1) as background:
        sending = background.submit(cards.send, run, answered.set)
        assert answered.wait(60)
        assert not sending.done()
        assert gateway.kill() == -9
        gateway.start()
        sending.result()
    run.settle()
    cards.compare(run, sent_again=True)
