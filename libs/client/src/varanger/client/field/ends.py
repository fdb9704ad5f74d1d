"""How `varanger-field` ends, and what makes it stop."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses; scripts and systemd read them."""

    ALL_CONFIRMED = 0
    """The gateway has every file."""
    SOME_NOT_CONFIRMED = 1
    """Some files were refused, cannot be read or are gone; `status` names them."""
    USAGE = 2
    """The command line is wrong (argparse's own status)."""
    NOT_ALLOWED = 3
    """What every file needs is refused: no such key, project or deployment (401, 403, 404), or a proxy's no (407).
    Trying again would not help."""
    JOURNAL = 4
    """The journal cannot be kept: disk full, no permission, damaged, or another process holds it."""
    FOLDER_GONE = 5
    """The folder is not there (any more)."""
    GATEWAY_AWAY = 6
    """`send` gave up; what was confirmed stays so, the next `send` goes on."""


class Stop(Exception):
    """Nothing can go on. `status` is the exit status."""

    def __init__(self, status: Exit, what: str) -> None:
        super().__init__(what)
        self.status = status


class FolderGone(Stop):
    """The folder cannot be listed, or holds nothing of what it held: a card that was taken out looks like both."""

    def __init__(self, what: str) -> None:
        super().__init__(Exit.FOLDER_GONE, what)
