"""One system of real processes for the whole suite; every test has a project of its own in it."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.e2e.drawn_release import write_release
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
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What answers."""
    return write_release(tmp_path_factory.mktemp("release") / "bundle")


@pytest.fixture(scope="session")
def database(postgres_admin_url: str) -> Iterator[str]:
    """A database for the whole suite, as a catalog URL."""
    with _database(postgres_admin_url) as url:
        yield url


@contextmanager
def _database(admin_url: str) -> Iterator[str]:
    name = f"varanger-e2e-{secrets.token_hex(4)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield urlsplit(admin_url)._replace(scheme="postgresql+psycopg", path=f"/{name}").geturl()
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _gate(url: str) -> tuple[Gate, str]:
    """A gate before the service at this URL, and the URL through it."""
    parts = urlsplit(url)
    gate = Gate(parts.hostname or "127.0.0.1", parts.port or 80)
    login = f"{parts.username}:{parts.password}@" if parts.username else ""
    return gate, parts._replace(netloc=f"{login}127.0.0.1:{gate.port}").geturl()


@pytest.fixture(scope="session")
def store_gate(s3_url: str) -> Iterator[tuple[Gate, str]]:
    """Between the system and its object store."""
    gate, url = _gate(s3_url)
    yield gate, url
    gate.cut()


@pytest.fixture(scope="session")
def model_gate(triton_url: str) -> Iterator[tuple[Gate, str]]:
    """Between the system and Triton."""
    gate, url = _gate(triton_url)
    yield gate, url
    gate.cut()


@pytest.fixture(scope="session")
def running_system(
    amqp_url: str,
    database: str,
    store_gate: tuple[Gate, str],
    model_gate: tuple[Gate, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[System]:
    """Every container as a process."""
    addresses = Addresses(amqp_url, database, store_gate[1], model_gate[1])
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
def new_run(system: System, release: Path) -> Callable[[str], Run]:
    """Makes projects."""
    return lambda name: system.new_run(f"{name}-{secrets.token_hex(3)}", release)


@pytest.fixture(scope="session")
def undisturbed(running_system: System, season: Season, release: Path) -> tuple[Run, Snapshot]:
    """The whole season through a system that nobody disturbs: what every other run must come to."""
    run = running_system.new_run(f"undisturbed-{secrets.token_hex(3)}", release)
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
