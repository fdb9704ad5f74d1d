"""Programs the tests run themselves are installed where that is allowed, and asked for in a sentence where not."""

from pathlib import Path

import pytest
from local_services import debian, tools


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The programs on a made-up machine, where packages can be installed."""
    programs = {"ps"}
    monkeypatch.setattr(tools.shutil, "which", lambda name: f"/bin/{name}" if name in programs else None)
    monkeypatch.setattr(debian, "can_install", lambda: True)
    by_package = {package: name for name, package in tools.TOOLS.items()}
    monkeypatch.setattr(debian, "install", lambda packages: programs.update(by_package[one] for one in packages))
    return programs


def test_what_is_missing_is_installed_and_nothing_else(machine: set[str]) -> None:
    assert tools.provide() is None
    assert machine == {"ps", "exiftool"}
    assert tools.provide() is None


def test_where_nothing_can_be_installed_a_sentence_says_what_to_do(
    machine: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "can_install", lambda: False)
    complaint = tools.provide()
    assert complaint is not None
    assert "install libimage-exiftool-perl" in complaint


def test_the_ingest_image_brings_it_too() -> None:
    dockerfile = Path(__file__).parents[3] / "deploy" / "docker" / "ingest.Dockerfile"
    assert tools.TOOLS["exiftool"] in dockerfile.read_text()
