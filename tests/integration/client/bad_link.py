"""A link as bad as one's worst site: a relay that resets a random half of its connections at a random byte."""

import random
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST, as a gone radio link looks like in the end."""


@dataclass
class BadLink:
    """A relay before a gateway. `cut_share` of the connections get a number of bytes to live."""

    target: str
    seed: int
    cut_share: float = 0.5
    longest_life: int = 20_000
    connections: int = 0
    cuts: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = True
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._open = False
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        address = urlsplit(self.target)
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection((str(address.hostname), int(address.port or 80)))
            self.connections += 1
            doomed = self._random.random() < self.cut_share
            life = self._random.randrange(1, self.longest_life) if doomed else None
            self._threads.append(threading.Thread(target=self._carry, args=(near, far, life)))
            self._threads[-1].start()

    def _carry(self, near: socket.socket, far: socket.socket, life: int | None) -> None:
        """Both ways, until one end closes or `life` bytes have passed."""
        with near, far:
            while self._open:
                for source in select.select([near, far], [], [], 0.2)[0]:
                    try:
                        data = source.recv(1 << 14)
                        (far if source is near else near).sendall(data[:life])
                    except OSError:
                        data = b""
                    if not data:
                        return
                    if life is not None:
                        life -= len(data)
                        if life <= 0:
                            self._cut(near, far)
                            return

    def _cut(self, *ends: socket.socket) -> None:
        self.cuts += 1
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


@contextmanager
def bad_link(target: str, seed: int, **how: float) -> Iterator[BadLink]:
    """Open while the block runs."""
    link = BadLink(target, seed, **how)
    try:
        yield link
    finally:
        link.close()
