"""`varanger-field` run in the test's own process, and what a card and a gateway hold."""

import hashlib
import io

from tests.integration.client.gateways import DEPLOYMENT, PROJECT

from varanger.client.field.main import run
from varanger.client.field.showing import Screen

NAMES = ["DCIM/100RECNX/IMG_0001.JPG", "DCIM/100RECNX/IMG_0002.JPG", "DCIM/101RECNX/IMG_0001.JPG"]


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


class Field:
    """`varanger-field` in this process."""

    def __init__(self, folder, monkeypatch):
        self.journal = folder / "state" / "journal.sqlite"
        self.said = ""
        self._monkeypatch = monkeypatch

    def __call__(self, command, card, gateway=None, *words, key=None):
        more = []
        if command != "status":
            self._monkeypatch.setenv("VARANGER_KEY", key or gateway.key)
            more = ["--url", gateway.url, "--project", PROJECT, "--deployment", DEPLOYMENT, "--settle", "0.05"]
        out = io.StringIO()
        status = run([command, str(card), "--journal", str(self.journal), *more, *words], Screen(out))
        self.said = out.getvalue()
        return status


def rows(gateway):
    return sorted((row.path, row.sha256) for row in gateway.held() if not row.duplicate)


def expected(card):
    files = sorted(path for path in card.rglob("*") if path.is_file() and not path.is_symlink())
    return [(path.relative_to(card).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
