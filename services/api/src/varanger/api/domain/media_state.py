"""Where an accepted file is, computed from what is known of it (promise 2: in exactly one state, counts add up)."""

from dataclasses import dataclass

from varanger.common.words import MediaState


@dataclass(frozen=True)
class Known:
    """What the catalog knows of one accepted file."""

    duplicate: bool = False
    unpacked: bool = False
    """An archive: its entries are files of their own."""
    stored: bool = False
    quarantined: bool = False
    dead: bool = False
    """A message about its ingest lies in the dead letters and was not replayed. It says nothing once it is stored: then
    its intake classification tells, whose own death is `intake_failed`."""
    intake_requested: bool = False
    intake_classified: bool = False
    intake_failed: bool = False


def media_state(known: Known) -> MediaState:
    """The one state. Success beats failure; a stored file without a release in force waits as `media`.

    `pending` means that something is still on its way: its ingest, or an intake classification that was asked for.
    """
    if known.duplicate or known.unpacked:
        return MediaState.DUPLICATE if known.duplicate else MediaState.UNPACKED
    if known.stored:
        if known.intake_classified:
            return MediaState.MEDIA
        if known.intake_failed:
            return MediaState.FAILED
        return MediaState.PENDING if known.intake_requested else MediaState.MEDIA
    if known.quarantined:
        return MediaState.QUARANTINED
    return MediaState.FAILED if known.dead else MediaState.PENDING
