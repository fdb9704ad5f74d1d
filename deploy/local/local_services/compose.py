"""The last resort: the same four services as containers, published on this machine's loopback interface."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local_services.address import Address
from local_services.processes import run
from local_services.service import LocalService

DEPLOY = Path(__file__).resolve().parents[2]
FILES = (DEPLOY / "compose" / "compose.yaml", DEPLOY / "local" / "compose.services.yaml")


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
            prefix = f"VARANGER_LOCAL_{service.compose_service.upper()}"
            settings[f"{prefix}_PORT"] = str(address.port)
            settings[f"{prefix}_USER"] = address.user
            settings[f"{prefix}_PASSWORD"] = address.password
        self._folder.mkdir(parents=True, exist_ok=True)
        self._settings_file.write_text(json.dumps(settings))
        self._settings_file.chmod(0o600)
        names = [service.compose_service for service, _ in services]
        self._run("up", "--detach", "--wait", "--no-deps", *names)

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

    def _run(self, *words: str) -> None:
        files = [word for path in FILES for word in ("--file", str(path))]
        env_file = ["--env-file", str(DEPLOY / "compose" / ".env.example")]
        project = ["--project-name", "varanger-local-services"]
        command = ["docker", "compose", *project, *env_file, *files, *words]
        run(command, env={**os.environ, **self._settings()})
