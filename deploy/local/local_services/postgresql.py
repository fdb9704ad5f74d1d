"""A PostgreSQL cluster of our own, apart from any the system may run."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from local_services import probes
from local_services.address import Address, first_free_block
from local_services.processes import run, run_as, start_daemon, stop_daemon, wait_until_it_answers
from local_services.service import LocalService, find_program, program

BINARIES = "usr/lib/postgresql/*/bin/"
SYSTEM_USER = "postgres"


class PostgreSQL(LocalService):
    """PostgreSQL from the system's package, as a private cluster reached over TCP only.

    The system's own cluster (if any) is left alone: its roles and its pg_hba.conf are the administrator's.
    """

    name = "postgresql"
    variable = "VARANGER_TEST_POSTGRES_URL"
    default_url = "postgresql://postgres@127.0.0.1:5432/postgres"
    default_port = 5432
    packages = ("postgresql",)
    compose_service = "postgres"

    def complaint(self, address: Address) -> str | None:
        """Log in and see that the role may create databases."""
        return probes.postgresql(address)

    def is_installed(self) -> bool:
        """Whether `initdb` is there, on PATH or where Debian keeps it."""
        return find_program("initdb", BINARIES + "initdb") is not None

    def start(self, wanted: Address) -> Address:
        """Start a cluster whose superuser is the wanted role."""
        port = first_free_block(wanted.port, (0,))
        role = wanted.user or "postgres"
        database = wanted.path or "postgres"
        address = Address(wanted.scheme or "postgresql", "127.0.0.1", port, role, wanted.password, database)
        data = self._data_folder()
        if not (data / "varanger-ready").exists():
            self._make_cluster(data, address)
        server = program("postgres", BINARIES + "postgres")
        options = {
            "port": str(port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
        }
        settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        start_daemon("server", [server, "-D", str(data), *settings], self.folder, user=_server_user())
        administration = Address(address.scheme, address.host, port, role, wanted.password, "postgres")
        wait_until_it_answers("server", self.folder, lambda: self.complaint(administration), 60)
        if self.complaint(address) is not None:
            createdb = program("createdb", BINARIES + "createdb")
            run([createdb, f"--maintenance-db={administration.url}", database])
        return address

    def stop(self) -> bool:
        """End sessions and stop the cluster; its data stays for the next start."""
        # SIGINT is PostgreSQL's "fast" shutdown: sessions are ended, data is written.
        return stop_daemon("server", self.folder, with_signal=signal.SIGINT, patience=30)

    def _data_folder(self) -> Path:
        """Inside the state folder, unless the user `postgres` may not go there (a checkout under /root)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        user = _server_user()
        if user is None:
            return self.folder / "data"
        reachable = subprocess.run(["test", "-x", str(self.folder)], check=False, cwd="/", **run_as(user))
        if reachable.returncode == 0:
            return self.folder / "data"
        mark = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        elsewhere = Path(pwd.getpwnam(user).pw_dir) / f"varanger-{mark}"
        (self.folder / "data-is-at").write_text(f"{elsewhere}\n")
        return elsewhere

    def _make_cluster(self, data: Path, address: Address) -> None:
        """Make an empty cluster; what a broken earlier try left is removed first."""
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        user = _server_user()
        if user is not None:
            shutil.chown(data, user, user)
        command = [program("initdb", BINARIES + "initdb"), "-D", str(data), "-U", address.user]
        command += ["--encoding=UTF8", "--no-locale"]
        with tempfile.NamedTemporaryFile("w") as password_file:
            if address.password:
                password_file.write(address.password)
                password_file.flush()
                if user is not None:
                    shutil.chown(password_file.name, user)
                command += ["--auth=scram-sha-256", f"--pwfile={password_file.name}"]
            else:
                command += ["--auth=trust"]
            run(command, user=user)
        (data / "varanger-ready").touch()


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root: then it runs as the package's own user."""
    return SYSTEM_USER if os.geteuid() == 0 else None
