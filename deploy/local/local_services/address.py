"""Where a service is: its URL taken apart, and free ports on the loopback interface."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Address:
    """A service's URL, taken apart. `scheme` is empty for Triton, whose clients take `host:port`."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = ""
    path: str = ""

    @classmethod
    def parse(cls, url: str, default_port: int = 0) -> Address:
        """Take a URL apart.

        Raises:
            ValueError: the URL has no host, or a port that is not a number.
        """
        parts = urlsplit(url if "://" in url else f"//{url}")
        if not parts.hostname:
            raise ValueError(f"{url!r} names no host")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=parts.port or default_port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            path=parts.path.lstrip("/"),
        )

    @property
    def url(self) -> str:
        """The URL as clients take it."""
        return self._written(quote(self.password, safe=""))

    @property
    def shown(self) -> str:
        """The URL for people's eyes: without its password."""
        return self._written("***" if self.password else "")

    @property
    def is_loopback(self) -> bool:
        """Whether a service started on this machine could be the one meant."""
        return self.host in LOOPBACK_HOSTS

    def _written(self, secret: str) -> str:
        login = quote(self.user, safe="")
        if login:
            login += f":{secret}@" if secret else "@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = f"{login}{host}:{self.port}"
        return f"{self.scheme}://{place}/{self.path}" if self.scheme else place


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def first_free_block(wanted: int, offsets: Iterable[int], step: int = 100, tries: int = 200) -> int:
    """The first port p of wanted, wanted + step, ... such that p + each offset is free.

    Raises:
        RuntimeError: none of the tried blocks is free.
    """
    needed = tuple(offsets)
    for base in range(wanted, min(wanted + step * tries, 65_000), step):
        if all(port_is_free(base + offset) for offset in needed):
            return base
    raise RuntimeError(f"no free ports from {wanted} upwards")
