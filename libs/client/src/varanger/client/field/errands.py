"""`send`: until all is confirmed. `watch`: for ever. The same loop, which ends differently."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from varanger.client.errors import GatewayAway
from varanger.client.field.deleting import delete_confirmed
from varanger.client.field.ends import Exit, FolderGone, Stop
from varanger.client.field.journal import Errand, Journal, Step
from varanger.client.field.looking import files_in
from varanger.client.field.sending import Sender
from varanger.client.field.showing import Screen
from varanger.client.patience import Backoff

REST_S = 0.5
"""While files settle."""


@dataclass
class Loop:
    """Looks, hashes, asks, sends, asks again, and waits when the link or the folder is gone."""

    sender: Sender
    screen: Screen
    forever: bool
    every_s: float
    """Between two looks at the folder."""
    tries: int
    """How often in a row `send` meets no gateway before it gives up."""
    delete: bool
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _backoff: Backoff = field(default_factory=Backoff)
    _in_vain: int = 0
    _look_at_s: float = float("-inf")
    _left_out: str = ""
    _said: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sender.moved = self.moved

    def run(self) -> Exit:
        """How it ended; `watch` ends by Stop alone."""
        while True:
            try:
                at_rest = self._round()
            except GatewayAway as error:
                self._wait_for_gateway(error)
            except FolderGone as error:
                if not self.forever:
                    raise
                self._once(f"{error}; waiting for it")
                self.sleep(self.every_s)
            else:
                if at_rest and not self.forever:
                    if not self._changed_since():
                        return self._end()
                elif at_rest:
                    self._show()
                    self.sleep(max(0.0, self._look_at_s - self.clock()))
                self._show_if_due()

    def _round(self) -> bool:
        """One way through the stages; whether nothing is left to do until the folder changes."""
        self._look()
        sender = self.sender
        hashed = sender.hash_some()
        sender.ask(Step.HASHED)
        sent = sender.send_some(self._enough)
        sender.ask(Step.SENT)
        if self.delete:
            delete_confirmed(sender.client, self._journal, self._errand, self.screen.say)
        if hashed or sent or self._journal.at(self._errand, Step.HASHED, Step.QUEUED, limit=1):
            return False
        if self._journal.is_settling(self._errand):
            self._look_at_s = self.clock()  # look again soon: have they changed?
            settle_s = sender.manner.settle_s
            self.sleep(min(settle_s, max(REST_S, settle_s / 4)))
            return False
        return True

    def _changed_since(self) -> bool:
        """One more look before `send` ends: a file may have been written to after it was read for sending."""
        self._look_at_s = self.clock()
        self._look()
        return self._journal.is_settling(self._errand)

    def _look(self) -> None:
        """Look at the folder if it is time."""
        if self.clock() >= self._look_at_s:
            left_out: Counter[str] = Counter()
            found = files_in(self._errand.folder, left_out, self._once)
            count = self._journal.look_at(self._errand, found, self.sender.clock())
            if count == 0 and self._journal.at(self._errand, Step.SEEN, Step.HASHED, Step.QUEUED, limit=1):
                folder = self._errand.folder
                raise FolderGone(f"{folder} is empty, and not all of it was sent; was the card taken out?")
            self._say_left_out(left_out)
            self._look_at_s = self.clock() + self.every_s

    def _say_left_out(self, left_out: Counter[str]) -> None:
        text = ", ".join(f"{count} {why}" for why, count in sorted(left_out.items()) if why != "hidden")
        if text and text != self._left_out:
            self.screen.say(f"left out: {text}")
        self._left_out = text

    def _enough(self) -> bool:
        self._show_if_due()
        return self.clock() >= self._look_at_s

    def _wait_for_gateway(self, error: GatewayAway) -> None:
        self._in_vain += 1
        if not self.forever and self._in_vain >= self.tries:
            told = f"{error}; given up after {self._in_vain} tries. Send again to go on"
            raise Stop(Exit.GATEWAY_AWAY, told) from error
        self._once(f"no way to the gateway: {error}")
        self.sleep(self._backoff.pause(error.retry_after_s))

    def moved(self) -> None:
        """Something worked."""
        self._in_vain = 0
        self._said.clear()
        self._backoff.reset()

    def _once(self, text: str) -> None:
        if text not in self._said:
            self.screen.say(text)
        self._said.add(text)

    def _show_if_due(self) -> None:
        if self.screen.due():
            self._show()

    def _show(self) -> None:
        self.screen.progress(self._journal.counts(self._errand))

    def _end(self) -> Exit:
        self._show()
        missing = self.sender.gone or self._journal.counts(self._errand).keys() - {Step.CONFIRMED, Step.GONE}
        return Exit.SOME_NOT_CONFIRMED if missing else Exit.ALL_CONFIRMED

    @property
    def _journal(self) -> Journal:
        return self.sender.journal

    @property
    def _errand(self) -> Errand:
        return self.sender.errand
