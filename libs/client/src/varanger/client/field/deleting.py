"""Removing sources: only when told to, only what the gateway has, and only if it still is that."""

from collections.abc import Callable

from varanger.client.api import VarangerClient
from varanger.client.calls.uploads import MOST_DIGESTS
from varanger.client.field.journal import Entry, Errand, Journal, Step
from varanger.client.field.looking import shown
from varanger.client.field.reading import path_of, remove_if_same
from varanger.client.field.sending import stopped_by_refusals


def delete_confirmed(client: VarangerClient, journal: Journal, errand: Errand, say: Callable[[str], None]) -> int:
    """Remove confirmed files from the folder; how many. Folders stay, empty or not.

    The gateway is asked once more, for a journal may be older than what became of the gateway since; and the file is
    read once more, for it may have been written anew under the same name.
    """
    removed, after = 0, b""
    while entries := journal.to_delete(errand, after, MOST_DIGESTS):
        after = entries[-1].path
        with stopped_by_refusals():
            known = client.check(errand.project, sorted({str(entry.sha256) for entry in entries})).media_ids()
        for entry in entries:
            if entry.sha256 in known:
                removed += _remove(journal, errand, entry, say)
            else:
                journal.move(errand, entry.path, Step.HASHED, "the gateway has it no more")
    return removed


def _remove(journal: Journal, errand: Errand, entry: Entry, say: Callable[[str], None]) -> bool:
    try:
        same = remove_if_same(path_of(errand.folder, entry), str(entry.sha256))
    except FileNotFoundError:
        journal.removed(errand, entry.path)
        return False
    except OSError as error:
        reason = f"it cannot be removed: {error.strerror or error}"
        say(f"{shown(entry.path)}: {reason}")
        journal.kept(errand, entry.path, reason)
        return False
    if same:
        journal.removed(errand, entry.path)
    else:
        journal.move(errand, entry.path, Step.SEEN)
    return same
