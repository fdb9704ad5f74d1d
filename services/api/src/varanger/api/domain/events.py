"""What an event is: one trigger burst (docs/decisions/0011-what-an-event-is.md).

- A **numbered** burst is what the camera says: shots with the same event number, their numbers in the sequence rising,
  none more than `SEQUENCE_GAP` after the one before. Counters start again after a loss of power, so the same event
  number at another time is another event; a number that does not rise begins another burst.
- The **other** shots are one event while no gap between two of them is longer than the deployment's `event_gap_s`.
- A time-lapse shot is an event of its own, unless it is one of a sequence; so is a media without a time.

The camera's own clock decides, with its parts of seconds: a correction moves events, and never divides or joins them.
The events of a deployment depend on its media alone, never on the order they came in. So they can be found again for
any stretch of time with silence before and after it, and come out the same.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from varanger.common.words import CaptureMethod

SEQUENCE_GAP = timedelta(seconds=60)
"""Between two shots of one numbered burst. Cameras wait up to 10 s between the pictures of a trigger, and longer where
the flash must recover; a picture may be lost. A second trigger with the same number within it would need a restart."""


@dataclass(frozen=True)
class Shot:
    """One media, as far as events are concerned."""

    media_id: UUID
    sha256: str
    at: datetime | None
    """The camera's own time with its parts of a second; None: unknown."""
    capture_method: str | None = None
    serial_number: str | None = None
    sequence_number: int = 0
    """n of "n of m"; 0 where the camera says none."""
    sequence_length: int = 0
    event_number: int | None = None

    @property
    def when(self) -> datetime:
        """To sort and to measure by; a shot without a time is before all others."""
        return self.at or datetime.min

    @property
    def alone(self) -> bool:
        """An event of its own, whatever its neighbours are."""
        return self.at is None or (self.time_lapse and not self._in_sequence)

    @property
    def numbered(self) -> bool:
        """The camera says which burst it is of."""
        return not self.alone and (self._in_sequence or self.event_number is not None)

    @property
    def time_lapse(self) -> bool:
        """The clock made the camera take it."""
        return self.capture_method == CaptureMethod.TIME_LAPSE

    @property
    def _in_sequence(self) -> bool:
        return self.sequence_number > 0 and self.sequence_length > 1


@dataclass(frozen=True)
class Burst:
    """The members of one event, in order."""

    event_id: str
    members: tuple[Shot, ...]

    @property
    def capture_method(self) -> str | None:
        """What its members say; None where none does."""
        return next((shot.capture_method for shot in self.members if shot.capture_method is not None), None)


def reach(event_gap_s: float, *, numbered: bool) -> timedelta:
    """How far shots of this kind can be apart and still hold together."""
    return SEQUENCE_GAP if numbered else timedelta(seconds=event_gap_s)


def bursts(deployment_id: str, shots: Iterable[Shot], event_gap_s: float) -> list[Burst]:
    """The events of these shots: all of a deployment, or those between two silences."""
    given = list(shots)
    found: list[Sequence[Shot]] = [[shot] for shot in given if shot.alone]
    numbered = [shot for shot in given if shot.numbered]
    others = [shot for shot in given if not shot.alone and not shot.numbered]
    for _, stream in groupby(sorted(numbered, key=_stream), key=_stream):
        found.extend(_runs(sorted(stream, key=_order)))
    found.extend(_gapped(sorted(others, key=_order), reach(event_gap_s, numbered=False)))
    return [Burst(_event_id(deployment_id, members[0]), tuple(members)) for members in found]


def settled(shots: Sequence[Shot], event_gap_s: float) -> int:
    """How many of these shots stand before a silence, so that no later shot can change their events.

    Args:
        shots: with times, in order of their seconds; more may follow, none of an earlier second than the last.
        event_gap_s: the deployment's.
    """
    latest: dict[bool, datetime] = {}
    stand = 0
    for index, shot in enumerate(shots):
        second = shot.when.replace(microsecond=0)
        if index and second > shots[index - 1].when.replace(microsecond=0):
            silent = all(second - end > reach(event_gap_s, numbered=kind) for kind, end in latest.items())
            stand = index if silent else stand
        if not shot.alone:
            latest[shot.numbered] = max(shot.when, latest.get(shot.numbered, datetime.min))
    return stand


def _event_id(deployment_id: str, first: Shot) -> str:
    """Follows from the first member, by its content: the same whatever came when, and on any machine."""
    return hashlib.sha256(f"{deployment_id}/{first.sha256}".encode()).hexdigest()[:32]


def _order(shot: Shot) -> tuple[datetime, int, str]:
    return shot.when, shot.sequence_number, shot.sha256


def _stream(shot: Shot) -> tuple[str, bool, int]:
    """What tells the numbered bursts of different triggers apart at the same time."""
    return shot.serial_number or "", shot.time_lapse, -1 if shot.event_number is None else shot.event_number


def _gapped(shots: Sequence[Shot], gap: timedelta) -> Iterator[list[Shot]]:
    """In order, cut where nothing happened for longer than the gap."""
    run: list[Shot] = []
    for shot in shots:
        if run and shot.when - run[-1].when > gap:
            yield run
            run = []
        run.append(shot)
    if run:
        yield run


def _runs(stream: Sequence[Shot]) -> Iterator[list[Shot]]:
    """Cut by gap, and where the sequence starts again.

    Many cameras write whole seconds. Of shots with one time the one that goes on with the running burst comes first.
    """
    for stretch in _gapped(stream, SEQUENCE_GAP):
        run: list[Shot] = []
        for _, tied in groupby(stretch, key=lambda shot: shot.at):
            waiting = list(tied)  # in order of their numbers
            while waiting:
                next_up = _goes_on(run[-1], waiting) if run else 0
                if next_up == len(waiting):
                    yield run
                    run, next_up = [], 0
                run.append(waiting.pop(next_up))
        yield run


def _goes_on(last: Shot, waiting: Sequence[Shot]) -> int:
    """The index of the first whose number rises above the last's; a shot without a number always goes on."""
    if last.sequence_number == 0 or waiting[0].sequence_number == 0:
        return 0
    return bisect_right(waiting, last.sequence_number, key=lambda shot: shot.sequence_number)
