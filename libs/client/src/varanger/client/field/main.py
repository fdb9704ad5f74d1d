"""`varanger-field send DIR | watch DIR | status DIR`."""

import argparse
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from varanger.client.api import VarangerClient
from varanger.client.calls.uploads import unchanged
from varanger.client.field.ends import Exit, Stop
from varanger.client.field.errands import Loop
from varanger.client.field.journal import Journal, Step, journal_fault
from varanger.client.field.lock import alone_with
from varanger.client.field.looking import shown
from varanger.client.field.rate import RateLimit, parse_rate
from varanger.client.field.sending import Manner, Sender
from varanger.client.field.showing import Screen, in_words

EPILOG = """exit status: 0 the gateway has every file; 1 some were refused, cannot be read or are gone (`status` names
them); 2 wrong command line; 3 what every file needs is refused (key, project, deployment); 4 the journal cannot be kept
(disk full, another process holds it); 5 the folder is not there; 6 `send` gave up, the gateway is away; 128 + n: signal
n"""


class Interrupted(BaseException):
    """A signal that asks to end. The journal is right at any moment, so nothing needs to be brought to an end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(words: Sequence[str] | None = None) -> None:
    """The console script."""
    sys.exit(run(words, Screen()))


def run(words: Sequence[str] | None, screen: Screen) -> int:
    """The exit status."""
    given = parser().parse_args(words)
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return int(_status(given, screen) if given.command == "status" else _work(given, screen))
    except Stop as stop:
        screen.say(f"varanger-field: {stop}")
        return int(stop.status)
    except sqlite3.Error as error:
        screen.say(f"varanger-field: {journal_fault(error, given.journal)}")
        return int(Exit.JOURNAL)
    except Interrupted as interrupted:
        screen.say("stopped; the next start goes on from here")
        return 128 + interrupted.number
    finally:
        screen.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


def _work(given: argparse.Namespace, screen: Screen) -> Exit:
    folder = Path(os.path.abspath(given.folder))  # noqa: PTH100 - a card's mount point keeps its name
    for name in ("key", "project", "deployment"):
        if not getattr(given, name):
            raise Stop(Exit.USAGE, f"--{name}: none is given, nor VARANGER_{name.upper()} in the environment")
    with ExitStack() as stack:
        stack.enter_context(alone_with(given.journal))
        journal = stack.enter_context(Journal(given.journal))
        errand = journal.errand(folder, given.url.rstrip("/"), given.project, given.deployment)
        if given.retry_refused:
            journal.forget_refusals(errand)
        try:
            client = stack.enter_context(VarangerClient(given.url, given.key, tries=1, timeout_s=given.timeout))
        except ValueError as error:
            raise Stop(Exit.USAGE, str(error)) from error
        manner = Manner(
            lane="bulk" if given.bulk else "live",
            newest_first=given.newest_first,
            settle_s=given.settle,
            large_bytes=given.large,
            through=RateLimit(given.limit_rate) if given.limit_rate else unchanged,
        )
        sender = Sender(client, journal, errand, manner, screen.say)
        forever = given.command == "watch"
        loop = Loop(sender, screen, forever, given.every, given.tries, given.delete_confirmed)
        return loop.run()


def _status(given: argparse.Namespace, screen: Screen) -> Exit:
    folder = Path(os.path.abspath(given.folder))  # noqa: PTH100 - it may be gone, and links in it are as they were
    if not given.journal.exists():
        raise Stop(Exit.JOURNAL, f"there is no journal {given.journal}: nothing was sent from here yet")
    end = Exit.ALL_CONFIRMED
    with Journal(given.journal, only_read=True) as journal:
        errands = journal.errands(folder)
        if not errands:
            raise Stop(Exit.SOME_NOT_CONFIRMED, f"nothing of {folder} was ever sent with the journal {given.journal}")
        for errand in errands:
            screen.say(f"{folder} → {errand.gateway} {errand.project}/{errand.deployment}")
            screen.say(f"  {in_words(journal.counts(errand))}")
            for entry in journal.still_open(errand):
                screen.say(f"  {entry.step} {shown(entry.path)}{': ' if entry.reason else ''}{entry.reason}")
                if entry.step is not Step.GONE:
                    end = Exit.SOME_NOT_CONFIRMED
    return end


def default_journal() -> Path:
    """In the user's folder for state (XDG Base Directory Specification)."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "varanger-field" / "journal.sqlite"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="varanger-field", description="Bring a folder to a Varanger gateway over a bad link.", epilog=EPILOG
    )
    commands = found.add_subparsers(dest="command", required=True, metavar="send | watch | status")
    for name, text in (
        ("send", "send what lies in the folder, then end"),
        ("watch", "send what lies in the folder and what comes into it, for ever"),
        ("status", "what the journal knows of the folder"),
    ):
        command = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
        command.add_argument("folder", type=Path, metavar="DIR")
        command.add_argument(
            "--journal", type=Path, default=default_journal(), help="its file (%(default)s); survives power cuts"
        )
        if name != "status":
            _add_sending(command.add_argument)
    return found


def _add_sending(add: Callable[..., object]) -> None:
    environment = os.environ.get
    add("--url", default=environment("VARANGER_URL", "http://127.0.0.1:8000"), help="the gateway ($VARANGER_URL)")
    add("--key", default=environment("VARANGER_KEY", ""), help="better in $VARANGER_KEY: others see command lines")
    add("--project", default=environment("VARANGER_PROJECT", ""), help="$VARANGER_PROJECT")
    add("--deployment", default=environment("VARANGER_DEPLOYMENT", ""), help="$VARANGER_DEPLOYMENT")
    add("--bulk", action="store_true", help="in the bulk lane: after everything live")
    add("--newest-first", action="store_true", help="the latest files first (by their dates)")
    add("--limit-rate", type=_checked(parse_rate), metavar="RATE", help="bytes per second at most: 500k, 1.5M")
    add("--delete-confirmed", action="store_true", help="remove a file once the gateway has its very content")
    add("--retry-refused", action="store_true", help="try files again that the gateway refused")
    add(
        "--settle", type=_checked(_seconds), default=5.0, metavar="S", help="a file rests this long first (%(default)s)"
    )
    add("--every", type=_checked(_seconds), default=10.0, metavar="S", help="between two looks (%(default)s)")
    add("--large", type=_checked(_size), default=16 << 20, metavar="SIZE", help="larger files go in pieces (16M)")
    add("--tries", type=int, default=8, help="`send` gives up after so many in a row met no gateway (%(default)s)")
    add("--timeout", type=_checked(_seconds), default=60.0, metavar="S", help="without a byte moving (%(default)s)")


def _seconds(text: str) -> float:
    seconds = float(text)
    if seconds < 0:
        raise ValueError(f"{text}: less than no time")
    return seconds


def _size(text: str) -> int:
    return int(parse_rate(text))


def _checked(parse: Callable[[str], float]) -> Callable[[str], float]:
    def checked(text: str) -> float:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


if __name__ == "__main__":
    main()
