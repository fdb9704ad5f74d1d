"""A TCP relay before a real service: while it is cut the service is gone, for those who go through it."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
CHUNK = 1 << 16


class Gate:
    """Passes bytes on to the service at a URL, on one port of this machine for all its life."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname, f"{url}: no host"
        assert parts.port, f"{url}: no port"
        self._target = (parts.hostname, parts.port)
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.open()
        login, at, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{login}{at}127.0.0.1:{self.port}").geturl()

    def open(self) -> None:
        """Let connections through (again)."""
        if self._listener is not None:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._acceptor.start()

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            self._acceptor.join()  # from here on no connection joins those that are cut
            listener.close()
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                    one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            pair = _Pair()
            with self._lock:
                self._sockets |= {near, far}
            self._spawn(self._pump, pair, near, far)
            self._spawn(self._pump, pair, far, near)

    def _pump(self, pair: "_Pair", source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        if pair.done():
            with self._lock:
                self._sockets -= {source, sink}
            source.close()
            sink.close()

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()


class _Pair:
    """Two sockets are closed when both directions have ended."""

    def __init__(self) -> None:
        self._left = 2
        self._lock = threading.Lock()

    def done(self) -> bool:
        """Count one direction; whether it was the last."""
        with self._lock:
            self._left -= 1
            return self._left == 0
