"""One system of real processes for the whole suite; every test has a project of its own in it."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.e2e.gate import Gate
from tests.e2e.runs import Run, Snapshot
from tests.e2e.system import Addresses, System

from varanger.fieldsim import Season, SeasonPlan, draw_season

IMAGES = 200
FAULTS = {
    "truncated_jpeg": 2,
    "png_named_jpg": 1,
    "text_named_jpg": 1,
    "empty_file": 1,
    "bomb_jpeg": 1,
    "bomb_png": 1,
    "no_date": 2,
    "duplicate": 3,
}
IMPATIENT = {"VARANGER_RETRY_DELAYS_S": "[1,2,4]", "VARANGER_RECONCILE_AFTER_S": "20"}


@pytest.fixture(scope="session")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    """A drawn field season with known truth, odd files among it."""
    return draw_season(SeasonPlan(seed=7, images=IMAGES, faults=FAULTS), tmp_path_factory.mktemp("season") / "cards")


@pytest.fixture(scope="session")
def database(postgres_admin_url: str) -> Iterator[str]:
    """A database for the whole suite, as a catalog URL."""
    with _database(postgres_admin_url) as url:
        yield url


@pytest.fixture(scope="session")
def broker(broker_admin: Callable[..., str], amqp_url: str) -> Iterator[str]:
    """A virtual host for the whole suite: what other tests leave in their queues is none of ours."""
    with _vhost(broker_admin, amqp_url) as url:
        yield url


@pytest.fixture(scope="module")
def fresh_addresses(
    broker_admin: Callable[..., str], amqp_url: str, postgres_admin_url: str, s3_url: str, triton_url: str
) -> Iterator[Addresses]:
    """Real services as they are before anybody has used them, but for the bucket."""
    with _vhost(broker_admin, amqp_url) as bus, _database(postgres_admin_url) as catalog:
        yield Addresses(bus, catalog, s3_url, triton_url)


@contextmanager
def _vhost(broker_admin: Callable[..., str], amqp_url: str) -> Iterator[str]:
    url, name = urlsplit(amqp_url), f"varanger-e2e-{secrets.token_hex(4)}"
    broker_admin("add_vhost", name)
    broker_admin("set_permissions", "-p", name, url.username or "guest", ".*", ".*", ".*")
    yield url._replace(path=f"/{name}").geturl()
    broker_admin("delete_vhost", name)


@contextmanager
def _database(admin_url: str) -> Iterator[str]:
    name = f"varanger-e2e-{secrets.token_hex(4)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield urlsplit(admin_url)._replace(scheme="postgresql+psycopg", path=f"/{name}").geturl()
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def store_gate(s3_url: str) -> Iterator[Gate]:
    """Between the system and its object store."""
    gate = Gate(s3_url)
    yield gate
    gate.cut()


@pytest.fixture(scope="session")
def model_gate(triton_url: str) -> Iterator[Gate]:
    """Between the system and Triton."""
    gate = Gate(triton_url)
    yield gate
    gate.cut()


@pytest.fixture(scope="session")
def addresses(broker: str, database: str, store_gate: Gate, model_gate: Gate) -> Addresses:
    """Where the system finds its services: store and model server behind gates."""
    return Addresses(broker, database, store_gate.url, model_gate.url)


@pytest.fixture(scope="session")
def running_system(addresses: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Every container as a process."""
    system = System(addresses, tmp_path_factory.mktemp("system"), IMPATIENT)
    try:
        system.start()
        yield system
    finally:
        system.close()


@pytest.fixture
def system(running_system: System) -> Iterator[System]:
    """The system, whole at the beginning of every test."""
    running_system.wait_ready()
    yield running_system
    for name, process in running_system.processes.items():
        if name != "migrate" and not process.runs:
            process.start()


@pytest.fixture
def new_run(system: System) -> Callable[[str], Run]:
    """Makes projects."""
    return lambda name: system.new_run(f"{name}-{secrets.token_hex(3)}")


@pytest.fixture(scope="session")
def undisturbed(running_system: System, season: Season) -> tuple[Run, Snapshot]:
    """The whole season through a system that nobody disturbs: what every other run must come to."""
    run = running_system.new_run(f"undisturbed-{secrets.token_hex(3)}")
    run.upload_season(season, season.deployments)
    run.settle()
    return run, run.snapshot()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    """Show what the processes wrote beside a failure."""
    report = yield
    system = getattr(item, "funcargs", {}).get("running_system") or getattr(item, "funcargs", {}).get("system")
    if report.failed and system is not None:
        report.sections.append(("processes", system.tails()))
    return report
