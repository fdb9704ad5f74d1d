"""A real S3 server of our own: one Ceph monitor, one in-memory OSD and an object gateway, all on loopback.

Ceph's gateway is the one full S3 implementation in Debian: signatures, presigned URLs, multipart,
conditional PUT. Its data lives in memory: stopping it removes every object, which is right for tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

from local_services import probes
from local_services.address import Address, first_free_block
from local_services.processes import (
    ServiceError,
    log_tail,
    run,
    start_daemon,
    stop_daemon,
    wait_until,
    wait_until_it_answers,
)
from local_services.service import LocalService, find_program

PROGRAMS = ("ceph", "ceph-authtool", "monmaptool", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin")
MEMORY_BYTES = 4 * 1024**3


class ObjectStore(LocalService):
    """Ceph's RADOS gateway with one user, whose keys are those of the URL."""

    name = "objects"
    variable = "VARANGER_TEST_S3_URL"
    default_url = "http://varanger:varanger-secret@127.0.0.1:15700"
    default_port = 15700
    packages = ("radosgw", "ceph-mon", "ceph-osd", "ceph-mgr")
    compose_service = "objects"

    def complaint(self, address: Address) -> str | None:
        """List the buckets with a signed request."""
        return probes.object_store(address)

    def is_installed(self) -> bool:
        """Whether every Ceph program is there."""
        return all(find_program(name) is not None for name in PROGRAMS)

    def start(self, wanted: Address) -> Address:
        """Start an empty cluster and its gateway, and make the wanted user."""
        # Ceph wants the gateway's port, two for the monitor (+1, +2) and a range for the OSD (+10 to +40).
        port = first_free_block(wanted.port, (0, 1, 2, *range(10, 41)))
        address = Address("http", "127.0.0.1", port, wanted.user, wanted.password)
        shutil.rmtree(self.folder, ignore_errors=True)
        for part in ("mon", "osd/0", "gateway", "run"):
            (self.folder / part).mkdir(parents=True)
        self._configuration.write_text(_configuration(self.folder, port))
        self._start_monitor(port)
        self._start_osd()
        self._start_gateway(address)
        return address

    def stop(self) -> bool:
        """Stop gateway, OSD and monitor; the objects are gone."""
        # The gateway lets open requests end; the in-memory OSD has nothing worth an orderly end.
        gateway = stop_daemon("gateway", self.folder, patience=5)
        osd = stop_daemon("osd", self.folder, with_signal=signal.SIGKILL)
        monitor = stop_daemon("monitor", self.folder, patience=5)
        return gateway or osd or monitor

    @property
    def _configuration(self) -> Path:
        return self.folder / "ceph.conf"

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "CEPH_CONF": str(self._configuration), "CEPH_ARGS": f"-c {self._configuration}"}

    def _ceph(self, *words: str) -> str:
        return run(["ceph", "--connect-timeout", "20", *words], env=self._environment)

    def _start_monitor(self, port: int) -> None:
        keyring, map_file = str(self.folder / "keyring"), str(self.folder / "monitor-map")
        everything = ("mon", "osd", "mgr")
        rights = {"mon.": ("mon",), "client.admin": everything, "client.gateway": everything}
        for entity, parts in rights.items():
            made = [] if Path(keyring).exists() else ["--create-keyring"]
            allowed = [word for part in parts for word in ("--cap", part, "allow *")]
            run(["ceph-authtool", *made, keyring, "--gen-key", "-n", entity, *allowed])
        place = f"[v2:127.0.0.1:{port + 1},v1:127.0.0.1:{port + 2}]"
        cluster = str(uuid.uuid4())
        run(["monmaptool", "--create", "--fsid", cluster, "--addv", "a", place, map_file])
        make = ["ceph-mon", "-i", "a", "--mkfs", "--monmap", map_file, "--keyring", keyring]
        run(make, env=self._environment)
        start_daemon("monitor", ["ceph-mon", "-i", "a", "-f"], self.folder, env=self._environment)
        self._wait("monitor", lambda: bool(self._ceph("mon", "stat")), 40)

    def _start_osd(self) -> None:
        self._ceph("osd", "create")
        osd_uuid = json.loads(self._ceph("osd", "dump", "-f", "json"))["osds"][0]["uuid"]
        key_file = self.folder / "osd/0/keyring"
        allowed = ["mon", "allow profile osd", "osd", "allow *", "mgr", "allow profile osd"]
        key_file.write_text(self._ceph("auth", "get-or-create", "osd.0", *allowed))
        run(["ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_uuid], env=self._environment)
        self._ceph("osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        start_daemon("osd", ["ceph-osd", "-i", "0", "-f"], self.folder, env=self._environment)
        self._wait("osd", lambda: json.loads(self._ceph("osd", "stat", "-f", "json"))["num_up_osds"] == 1, 60)

    def _start_gateway(self, address: Address) -> None:
        command = ["radosgw", "-n", "client.gateway", "-f"]
        start_daemon("gateway", command, self.folder, env=self._environment)
        user = ["--uid=varanger", "--display-name=Varanger tests"]
        keys = [f"--access-key={address.user}", f"--secret-key={address.password}"]
        self._wait("gateway", lambda: _talks(address), 60)
        run(["radosgw-admin", "user", "create", *user, *keys], env=self._environment)
        wait_until_it_answers("gateway", self.folder, lambda: self.complaint(address), 30)

    def _wait(self, daemon: str, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition whose question may itself fail while the cluster is coming up."""

        def holds() -> bool:
            with contextlib.suppress(ServiceError):
                return condition()
            return False

        if not wait_until(holds, seconds, every=0.3):
            log = log_tail(self.folder / f"{daemon}.log")
            raise ServiceError(f"the object store's {daemon} did not come up:\n{log}")


def _talks(address: Address) -> bool:
    """Whether an HTTP server answers there, whatever it says."""
    told = probes.object_store(address)
    return told is None or told.startswith("the store answered")


def _configuration(folder: Path, port: int) -> str:
    return f"""\
[global]
mon host = [v2:127.0.0.1:{port + 1}/0,v1:127.0.0.1:{port + 2}/0]
public network = 127.0.0.0/8
ms bind ipv4 = true
ms bind port min = {port + 10}
ms bind port max = {port + 40}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = {MEMORY_BYTES}
mon allow pool size one = true
mon data avail warn = 2
mon max pg per osd = 1000
run dir = {folder}/run
# No admin socket: socket paths are limited to 107 bytes, and a checkout may lie deep.
admin socket =
log to file = false
log to stderr = true
mon cluster log to file = false
keyring = {folder}/keyring
crash dir = {folder}/run
[mon.a]
mon data = {folder}/mon/a
[osd.0]
osd data = {folder}/osd/0
keyring = {folder}/osd/0/keyring
[client.gateway]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw data = {folder}/gateway
rgw thread pool size = 32
rgw dns name = localhost
# What was removed leaves the memory at once; by default two hours later, and a benchmark would fill it before.
rgw gc obj min wait = 1
rgw gc processor period = 5
"""
