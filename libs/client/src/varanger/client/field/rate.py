"""A bound on the bytes per second that leave: the stream itself is held back, not the pauses between files."""

import re
import time
from collections.abc import Callable, Iterator

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
LARGEST_PIECE = 64 << 10


def parse_rate(text: str) -> float:
    """Bytes per second of `500k`, `1.5M`, `20000`; the units are curl's (1024).

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)", text.strip().lower())
    if not found or float(found[1]) <= 0:
        raise ValueError(f"{text!r} is no rate; write bytes per second, as in 500k or 1.5M")
    return float(found[1]) * UNITS[found[2]]


class RateLimit:
    """Chunks go through it no faster than the rate, in pieces of at most a quarter of a second."""

    def __init__(
        self,
        bytes_per_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = bytes_per_s
        self._piece = max(1, min(LARGEST_PIECE, int(bytes_per_s / 4)))
        self._clock = clock
        self._sleep = sleep
        self._free_at_s = clock()

    def __call__(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The same bytes, later."""
        for chunk in chunks:
            for begin in range(0, len(chunk), self._piece):
                piece = chunk[begin : begin + self._piece]
                wait_s = self._free_at_s - self._clock()
                if wait_s > 0:
                    self._sleep(wait_s)
                self._free_at_s = max(self._free_at_s, self._clock()) + len(piece) / self._rate
                yield piece
