"""The last resort: the same four services as containers, published on this machine's loopback interface."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local_services.address import Address
from local_services.processes import run
from local_services.service import LocalService

DEPLOY = Path(__file__).resolve().parents[2]
COMMAND = (
    *("docker", "compose", "--project-name", "varanger-local-services"),
    *("--env-file", str(DEPLOY / "compose" / ".env.example")),
    *("--file", str(DEPLOY / "compose" / "compose.yaml")),
    *("--file", str(DEPLOY / "local" / "compose.services.yaml")),
)

LOGIN_VARIABLES = {
    "rabbitmq": ("RABBITMQ_USER", "RABBITMQ_PASSWORD"),
    "postgres": ("POSTGRES_USER", "POSTGRES_PASSWORD"),
    "objects": ("OBJECTS_ACCESS_KEY", "OBJECTS_SECRET_KEY"),
}
"""What compose.yaml calls the login of each service; those not given keep the example's values."""


def is_available() -> bool:
    """Whether `docker compose` and a Docker engine answer."""
    if shutil.which("docker") is None:
        return False
    for question in (["docker", "compose", "version"], ["docker", "info"]):
        if subprocess.run(question, capture_output=True, check=False, timeout=60).returncode != 0:
            return False
    return True


class Compose:
    """Containers for those services that this machine could not run itself."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "compose"

    @property
    def _settings_file(self) -> Path:
        return self._folder / "settings.json"

    def start(self, services: Sequence[tuple[LocalService, Address]]) -> None:
        """Start containers for these services at these addresses and wait until they are healthy.

        Raises:
            ServiceError: `docker compose` failed; the text carries the end of its output.
        """
        settings: dict[str, str] = self._settings()
        for service, address in services:
            settings[f"LOCAL_{service.compose_service.upper()}_PORT"] = str(address.port)
            user, password = LOGIN_VARIABLES.get(service.compose_service, (None, None))
            if user and address.user:
                settings[user] = address.user
            if password and address.password:
                settings[password] = address.password
        self._folder.mkdir(parents=True, exist_ok=True)
        self._settings_file.write_text(json.dumps(settings))
        self._settings_file.chmod(0o600)
        self._write_control_script()
        names = [service.compose_service for service, _ in services]
        self._run("up", "--detach", "--wait", "--no-deps", *names)

    def more_variables(self, service: LocalService) -> dict[str, str]:
        """Further variables of a service that runs as a container."""
        if service.compose_service != "rabbitmq":
            return {}
        return {"VARANGER_TEST_RABBITMQCTL": shlex.quote(str(self._control_script))}

    def stop(self) -> bool:
        """Stop and remove the containers; True when there were some."""
        if not self._settings_file.exists():
            return False
        self._run("down", "--volumes")
        self._settings_file.unlink()
        return True

    def runs(self) -> bool:
        """Whether containers were started and not stopped since."""
        return self._settings_file.exists()

    def _settings(self) -> dict[str, str]:
        if not self._settings_file.exists():
            return {}
        settings = json.loads(self._settings_file.read_text())
        return {str(key): str(value) for key, value in settings.items()}

    @property
    def _control_script(self) -> Path:
        return self._folder / "rabbitmqctl"

    def _write_control_script(self) -> None:
        command = shlex.join([*COMMAND, "exec", "--no-TTY", "rabbitmq", "rabbitmqctl"])
        self._control_script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        self._control_script.chmod(0o700)

    def _run(self, *words: str) -> None:
        run([*COMMAND, *words], env={**os.environ, **self._settings()})
