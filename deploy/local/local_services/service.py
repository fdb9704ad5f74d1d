"""What each local service can do: answer, be started, be stopped."""

from __future__ import annotations

import abc
import shutil
from pathlib import Path
from typing import ClassVar

from local_services.address import Address
from local_services.processes import ServiceError, running_in


class LocalService(abc.ABC):
    """One service that tests need, as a thing that may run on this machine.

    Attributes:
        name: for people.
        variable: environment variable that holds its URL.
        default_url: where it is looked for when the variable is not set.
        default_port: the port of a URL without one.
        packages: Debian packages that bring its programs.
        also_needs: what no package brings, as words that may follow a list of packages.
        compose_service: its name in deploy/compose/compose.yaml.
    """

    name: ClassVar[str]
    variable: ClassVar[str]
    default_url: ClassVar[str]
    default_port: ClassVar[int]
    packages: ClassVar[tuple[str, ...]]
    compose_service: ClassVar[str]
    also_needs: ClassVar[str] = ""

    def __init__(self, state: Path) -> None:
        self.folder = state / self.name
        """Everything of this service: data, logs, pid files."""

    @abc.abstractmethod
    def complaint(self, address: Address) -> str | None:
        """Why the service at this address cannot be used, or None when it answers as it should."""

    @abc.abstractmethod
    def is_installed(self) -> bool:
        """Whether the programs to start it are there."""

    @abc.abstractmethod
    def start(self, wanted: Address) -> Address:
        """Start it, at the wanted address if that port is free, and return where it is.

        Raises:
            ServiceError: it could not be started; the text says why.
        """

    @abc.abstractmethod
    def stop(self) -> bool:
        """Stop what `start` started, or what a broken earlier run left; True when there was something."""

    def more_variables(self, address: Address) -> dict[str, str]:
        """Further variables a test may want beside the URL."""
        return {}

    def runs(self) -> list[str]:
        """Names of the processes of this service that live."""
        return list(running_in(self.folder))


def find_program(name: str, *patterns: str) -> str | None:
    """A program's path: from PATH, else the newest match of glob patterns from the root folder."""
    on_path = shutil.which(name)
    if on_path:
        return on_path
    matches = sorted(match for pattern in patterns for match in Path("/").glob(pattern.lstrip("/")))
    return str(matches[-1]) if matches else None


def program(name: str, *patterns: str) -> str:
    """As `find_program`, for a program that must be there.

    Raises:
        ServiceError: it is not there.
    """
    found = find_program(name, *patterns)
    if found is None:
        raise ServiceError(f"the program {name} is not installed.")
    return found
