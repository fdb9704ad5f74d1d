"""Where an accepted file is, computed from what is known of it (promise 2: in exactly one state, counts add up)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from varanger.common.words import MediaState, Purpose


class Asked(Protocol):
    """What is needed of a prediction row."""

    purpose: str
    state: str


@dataclass(frozen=True)
class Known:
    """What the catalog knows of one accepted file."""

    duplicate: bool = False
    unpacked: bool = False
    """An archive: its entries are files of their own."""
    stored: bool = False
    quarantined: bool = False
    """And not sent back to ingest since."""
    dead: bool = False
    """A message about its ingest lies in the dead letters and was not replayed. It says nothing once it is stored: then
    its intake classification tells, whose own death is `failed`."""
    intake: frozenset[str] = frozenset()
    """What became of the intake answers that were asked for, one for each frame (`intake_of_frame`)."""


def media_state(known: Known) -> MediaState:
    """The one state. A stored file without a release in force waits as `media`.

    `pending` means that something is still on its way: its ingest, or an intake answer that was asked for. A video is
    media when every frame is answered, and failed once nothing is open any more and a frame has no answer.
    """
    if known.duplicate or known.unpacked:
        return MediaState.DUPLICATE if known.duplicate else MediaState.UNPACKED
    if known.stored:
        if "requested" in known.intake:
            return MediaState.PENDING
        return MediaState.FAILED if "failed" in known.intake else MediaState.MEDIA
    if known.quarantined:
        return MediaState.QUARANTINED
    return MediaState.FAILED if known.dead else MediaState.PENDING


def intake_of_frame(rows: Iterable[Asked]) -> str | None:
    """`classified`, `failed` or `requested`, from all releases' rows of one frame (or a still image); None: not asked.

    Success beats failure, whichever release it came from; what was asked in the shadow says nothing.
    """
    rows = list(rows)
    if any(row.state == "classified" and row.purpose != Purpose.SHADOW for row in rows):
        return "classified"
    intake = {row.state for row in rows if row.purpose == Purpose.INTAKE}
    return next((state for state in ("failed", "requested") if state in intake), None)
