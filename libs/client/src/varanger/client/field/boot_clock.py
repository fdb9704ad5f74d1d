"""A clock that does not jump: a Raspberry Pi has none of its own, and wakes up in the past until it finds a network."""

import time
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""https://docs.kernel.org/admin-guide/sysctl/kernel.html#random: another one after each start of the machine."""


@dataclass(frozen=True)
class Moment:
    """`seconds` since the start of the machine, comparable between processes of the same `boot`."""

    boot: str
    seconds: float
    wall_ns: int
    """By the clock on the wall, right or wrong."""


def now() -> Moment:
    """This moment. Where a machine does not name its starts, moments of two processes cannot be compared."""
    try:
        boot = BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = _OF_THIS_PROCESS
    return Moment(boot, time.monotonic(), time.time_ns())


_OF_THIS_PROCESS = f"process-{time.time_ns()}-{time.perf_counter_ns()}"
