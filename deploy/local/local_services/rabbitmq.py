"""A RabbitMQ node of our own, apart from any the system may run."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

from local_services import probes
from local_services.address import Address, first_free_block, port_is_free
from local_services.processes import (
    ServiceError,
    run,
    start_daemon,
    stop_daemon,
    wait_until,
    wait_until_it_answers,
)
from local_services.service import LocalService, find_program, program

LIBRARY = "usr/lib/rabbitmq/bin/"
"""The node's real scripts: those in /usr/sbin change to the user `rabbitmq`, who may not enter our folder."""

EPMD_PORT = 4369


class RabbitMQ(LocalService):
    """RabbitMQ from the system's package, as a private node with its own data, cookie and ports."""

    name = "rabbitmq"
    variable = "VARANGER_TEST_AMQP_URL"
    default_url = "amqp://guest:guest@127.0.0.1:5672/"
    default_port = 5672
    packages = ("rabbitmq-server",)
    compose_service = "rabbitmq"

    def complaint(self, address: Address) -> str | None:
        """Log in over AMQP and open the virtual host."""
        return probes.rabbitmq(address)

    def is_installed(self) -> bool:
        """Whether the server's script is there."""
        return find_program("rabbitmq-server", LIBRARY + "rabbitmq-server") is not None

    def start(self, wanted: Address) -> Address:
        """Start a node whose default user, password and virtual host are the wanted ones."""
        port = first_free_block(wanted.port, (0, 10_000))
        address = replace(wanted, host="127.0.0.1", port=port)
        self.folder.mkdir(parents=True, exist_ok=True)
        if port_is_free(EPMD_PORT):
            (self.folder / "epmd-is-ours").touch()
        (self.folder / "rabbitmq.conf").write_text(_configuration(address))
        (self.folder / "enabled_plugins").write_text("[].\n")
        self._write_control_script(address)
        start_daemon("server", [_script("rabbitmq-server")], self.folder, env=self._environment(address))
        wait_until_it_answers("server", self.folder, lambda: self.complaint(address), 90)
        return address

    def stop(self) -> bool:
        """Stop the node, and Erlang's port mapper if it came with it."""
        was_running = stop_daemon("server", self.folder, patience=40)
        ours = self.folder / "epmd-is-ours"
        if ours.exists():
            # Erlang's port mapper refuses to end while any node is registered, which is what we want.
            epmd = find_program("epmd", "usr/lib/erlang/erts-*/bin/epmd")
            if epmd is not None:
                wait_until(lambda: _epmd_ended(epmd), 10, every=0.5)
            ours.unlink()
        return was_running

    def more_variables(self, address: Address) -> dict[str, str]:
        """The command that administers this broker (virtual hosts, users), for a test that needs its own."""
        control = str(self._control_script) if "server" in self.runs() else find_program("rabbitmqctl")
        # Read as words of a shell line, because it may also be "docker exec ...".
        return {"VARANGER_TEST_RABBITMQCTL": shlex.quote(control)} if control and address.is_loopback else {}

    @property
    def _control_script(self) -> Path:
        return self.folder / "rabbitmqctl"

    def _write_control_script(self, address: Address) -> None:
        lines = ["#!/bin/sh", *(f"export {k}={shlex.quote(v)}" for k, v in self._settings(address).items())]
        lines.append(f'exec {shlex.quote(_script("rabbitmqctl"))} "$@"')
        self._control_script.write_text("\n".join(lines) + "\n")
        self._control_script.chmod(0o700)

    def _environment(self, address: Address) -> dict[str, str]:
        return {**os.environ, **self._settings(address)}

    def _settings(self, address: Address) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"varanger{address.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.folder / "node-pid"),
            "RABBITMQ_DIST_PORT": str(address.port + 10_000),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }


def _configuration(address: Address) -> str:
    return "\n".join(
        [
            f"listeners.tcp.1 = 127.0.0.1:{address.port}",
            f"default_user = {address.user or 'guest'}",
            f"default_pass = {address.password or 'guest'}",
            f"default_vhost = {address.path.replace('%2F', '/') or '/'}",
            "loopback_users = none",
            "log.file.level = warning",
            "",
        ]
    )


def _script(name: str) -> str:
    library = Path("/") / LIBRARY / name
    return str(library) if library.exists() else program(name)


def _epmd_ended(epmd: str) -> bool:
    try:
        run([epmd, "-kill"])
    except ServiceError:
        return port_is_free(EPMD_PORT)
    return True
