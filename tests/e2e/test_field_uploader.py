"""The field uploader as a real process on a link that cuts half its connections, killed again and again.

Kills and cuts are random, from a seed that is told: the end is to be the same with every seed.
"""

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration.client.bad_link import bad_link
from tests.integration.client.gateways import DEPLOYMENT, PROJECT, gateway_of

from varanger.fieldsim import SeasonPlan, draw_season
from varanger.fieldsim.plan import CameraSetup

FILES, KILLS, LONGEST_LIFE_S = 500, 50, 0.3
RATE = "100k"
"""So slow that the card outlasts the kills, however fast the machine is."""
COMMAND = [sys.executable, "-c", "from varanger.client.field.main import main; main()"]
"""What the console script `varanger-field` runs."""
SMALL = CameraSetup("small", "SIMOPTIC", "Fieldsim 1", (96, 72), 70, strip=False)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 drawn photos, all different."""
    plan = SeasonPlan(seed=3, sites=1, images=FILES, setups=(SMALL,))
    season = draw_season(plan, tmp_path_factory.mktemp("season"))
    return season.folder / season.deployments[0].folder


class Uploader:
    """`varanger-field send`, started as often as it is killed."""

    def __init__(self, card: Path, folder: Path, url: str, key: str) -> None:
        self.log = folder / "log"
        self._words = [
            *COMMAND,
            *("send", str(card), "--url", url, "--project", PROJECT, "--deployment", DEPLOYMENT),
            *("--journal", str(folder / "journal.sqlite"), "--settle", "0.1", "--tries", "1000", "--timeout", "10"),
            *("--limit-rate", RATE),
        ]
        self._environment = {**os.environ, "VARANGER_KEY": key}

    def start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(self._words, env=self._environment, stdout=log, stderr=log)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["fake", "real"])
def test_killed_50_times_on_a_link_that_cuts_half_its_connections(kind: str, card: Path, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    expected = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in card.iterdir() if path.is_file()}
    assert len(set(expected.values())) == FILES
    with gateway_of(kind, tmp_path / "gateway") as gateway, bad_link(gateway.url, seed) as link:
        uploader = Uploader(card, tmp_path, link.url, gateway.key)
        kills = 0
        while kills < KILLS:
            met = link.connections
            process = uploader.start()
            while link.connections == met and process.poll() is None:
                time.sleep(0.01)  # killed before it has begun it would prove nothing
            try:
                status = process.wait(moments.uniform(0.0, LONGEST_LIFE_S))
                assert status == 0, f"seed {seed}\n{uploader.log.read_text()}"
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
        status = uploader.start().wait(300)
        told = f"seed {seed}, {kills} kills, {link.connections} connections, {link.cuts} cut"
        assert status == 0, f"{told}\n{uploader.log.read_text()}"
        assert kills == KILLS, f"{told}: it was through before"
        assert link.cuts > KILLS // 5, told
        held = gateway.held()
    accepted = {row.path: row.sha256 for row in held if not row.duplicate}
    assert accepted == expected, told
    assert len(held) == len(expected), f"{told}; {len(held) - len(expected)} offered again"
