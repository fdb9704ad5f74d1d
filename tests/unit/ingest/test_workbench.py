import signal
import subprocess
import sys
import tempfile

import pytest

from varanger.ingest.adapters.workbench import PREFIX, open_workbench

OWNS_ONE = """
import os, signal
from varanger.ingest.adapters.workbench import open_workbench
with open_workbench() as folder:
    (folder / "file").write_bytes(b"in hand")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_a_workbench_is_removed_with_its_files():
    with open_workbench() as folder:
        (folder / "file").write_bytes(b"in hand")
    assert not folder.exists()


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    ended = subprocess.run([sys.executable, "-c", OWNS_ONE], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = tmp_path.glob(f"{PREFIX}*")
    assert (left / "file").exists()
    with open_workbench() as folder:
        assert list(tmp_path.glob(f"{PREFIX}*")) == [folder]


def test_another_process_keeps_its_workbench():
    with open_workbench() as first, open_workbench() as second:
        assert first.exists()
        assert second.exists()


def test_a_folder_of_unknown_owner_and_a_link_are_left_alone(tmp_path):
    """The first may belong to a process that is just starting."""
    unknown, target = tmp_path / f"{PREFIX}1", tmp_path / "target"
    unknown.mkdir()
    target.mkdir()
    (target / "owner").touch()
    (tmp_path / f"{PREFIX}2").symlink_to(target)
    with open_workbench():
        assert unknown.exists()
        assert (target / "owner").exists()
