"""One process at a time keeps a journal. The lock goes with the process, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from varanger.client.field.ends import Exit, Stop
from varanger.client.field.journal import journal_fault


@contextmanager
def alone_with(journal: Path) -> Iterator[None]:
    """Hold the journal.

    Raises:
        Stop: another process holds it, or it cannot be written there.
    """
    path = journal.with_name(f"{journal.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise journal_fault(error, journal) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise Stop(
                Exit.JOURNAL,
                f"another varanger-field (process {holder}) works with the journal {journal}; "
                "wait for it, stop it, or give this one its own with --journal",
            ) from error
        try:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        except OSError as error:
            raise journal_fault(error, journal) from error
        yield
