"""What compose starts as containers starts here as processes: the same command, the same environment, other URLs."""

import os
import subprocess
import sys

import httpx
import pytest
from tests.e2e.containers import REPOSITORY, read_containers
from tests.e2e.system import READY_WITHIN_S, WORKERS, System

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def containers(fresh_addresses, tmp_path_factory):
    """Nothing is set but what compose and the images say; a vhost, a database and a bucket that nobody has used."""
    system = System(fresh_addresses, tmp_path_factory.mktemp("containers"))
    yield system
    system.close()


def test_the_compose_file_has_every_process():
    assert set(read_containers()) == {"migrate", "api", *WORKERS}


def test_migrate_ends_well(containers):
    migrate = containers.processes["migrate"]
    assert migrate.run_to_end() == 0, migrate.tail()


@pytest.mark.parametrize("name", ["api", *WORKERS])
def test_each_becomes_ready_is_healthy_and_ends_at_sigterm(containers, name):
    process = containers.processes[name]
    process.start()
    containers.wait_ready([name])
    checked = subprocess.run(
        [sys.executable, str(REPOSITORY / "deploy" / "docker" / "health.py")],
        env={"PATH": os.environ["PATH"], "VARANGER_HEALTH_PORT": str(process.port)},
        timeout=READY_WITHIN_S,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "varanger_" in httpx.get(f"{process.url}/metrics").text
    assert process.stop() == 0, process.tail()
