"""What a person sees: a bar on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import TextIO

from varanger.client.field.journal import Step

BAR = 24
REDRAW_S = 0.5
LINE_EVERY_S = 30.0


class Screen:
    """Progress and messages. Messages are lines in both cases."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self._out = out
        self._bar = out.isatty()
        self._next_s = 0.0
        self._last = ""
        self._drawn = False

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        self._out.write(f"{text}\n")
        self._out.flush()

    def due(self) -> bool:
        """Whether progress may be shown again; counting costs, so ask first."""
        return time.monotonic() >= self._next_s

    def progress(self, counts: Mapping[Step, tuple[int, int]]) -> None:
        """Files and bytes confirmed, of all that can be."""
        text = in_words(counts)
        self._next_s = time.monotonic() + (REDRAW_S if self._bar else LINE_EVERY_S)
        if not self._bar:
            if text != self._last:
                self.say(text)
            self._last = text
            return
        total = sum(files for step, (files, _) in counts.items() if step is not Step.GONE)
        done = counts.get(Step.CONFIRMED, (0, 0))[0]
        full = BAR * done // total if total else 0
        self._clear()
        self._out.write(f"[{'#' * full}{'.' * (BAR - full)}] {text}")
        self._out.flush()
        self._drawn = True

    def close(self) -> None:
        """Leave the bar's line."""
        if self._drawn:
            self._out.write("\n")
            self._drawn = False

    def _clear(self) -> None:
        if self._drawn:
            self._out.write("\r\x1b[2K")
            self._drawn = False


def in_words(counts: Mapping[Step, tuple[int, int]]) -> str:
    """`confirmed 12 of 20 files, 31.0 of 52.4 MB; 3 seen, 5 queued`."""
    files = sum(files for step, (files, _) in counts.items() if step is not Step.GONE)
    size = sum(size for step, (_, size) in counts.items() if step is not Step.GONE)
    done, done_size = counts.get(Step.CONFIRMED, (0, 0))
    rest = [f"{counts[step][0]} {step}" for step in Step if step in counts and step is not Step.CONFIRMED]
    text = f"confirmed {done} of {files} files, {done_size / 1e6:.1f} of {size / 1e6:.1f} MB"
    return f"{text}; {', '.join(rest)}" if rest else text
