"""The containers of deploy/compose/compose.yaml as processes of this machine: their commands, their environment."""

import os
import shlex
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = REPOSITORY / "deploy" / "compose" / "compose.yaml"
KEPT = ("LD_LIBRARY_PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "OMP_NUM_THREADS")
"""What a process needs of this machine; nothing else of our environment reaches it, as nothing reaches a container."""


@dataclass(frozen=True)
class Container:
    """One service of ours: what it runs, and with which environment (URLs as compose has them, unresolved)."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]

    @property
    def port_variable(self) -> str:
        """Which setting says where /readyz answers."""
        return "VARANGER_HEALTH_PORT" if "VARANGER_HEALTH_PORT" in self.environment else "VARANGER_HTTP_PORT"


def read_containers() -> dict[str, Container]:
    """Ours among the compose file's services, by name; the image's environment lies under the service's."""
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return {
        name: Container(
            name, tuple(one["command"]), image_environment(one["build"]["dockerfile"]) | one.get("environment", {})
        )
        for name, one in services.items()
        if "build" in one
    }


def image_environment(dockerfile: str) -> dict[str, str]:
    """The ENV of the last stage, without the PATH, which is the image's own."""
    last_stage = (REPOSITORY / dockerfile).read_text().replace("\\\n", " ").rpartition("\nFROM ")[2]
    lines = [line.removeprefix("ENV ") for line in last_stage.splitlines() if line.startswith("ENV ")]
    pairs = [pair.partition("=") for line in lines for pair in shlex.split(line)]
    return {name: value for name, _, value in pairs if name != "PATH"}


PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
"""This environment's own programs first, as in an image."""


def to_argv(command: tuple[str, ...]) -> list[str]:
    """The command for this machine: the console script where it is installed, else what its package says it calls."""
    script, *words = command
    installed = shutil.which(script, path=PATH)
    if installed:
        return [installed, *words]
    for package in sorted(REPOSITORY.glob("*/*/pyproject.toml")):
        scripts = tomllib.loads(package.read_text())["project"].get("scripts", {})
        if script in scripts:
            module, _, function = scripts[script].partition(":")
            call = f"import sys; sys.argv[0] = {script!r}; from {module} import {function}; {function}()"
            return [sys.executable, "-c", call, *words]
    raise LookupError(f"no package has a console script {script!r}")


def own_environment(folder: Path) -> dict[str, str]:
    """What a process gets of this machine's environment."""
    return {name: os.environ[name] for name in KEPT if name in os.environ} | {
        "PATH": PATH,
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }
