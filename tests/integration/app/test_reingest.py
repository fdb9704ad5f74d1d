"""A card that comes again, in another order, from another path, by another way, changes no name and adds no media."""

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from varanger.client import VarangerClient
from varanger.fieldsim import SeasonPlan, draw_season

Send = Callable[[VarangerClient, str, str, Sequence[Path], Path], list[str]]
"""Client, project, deployment, files, the folder that their paths are told relative to -> each file's verdict."""


def by_form(client: VarangerClient, project: str, deployment: str, files: Sequence[Path], below: Path) -> list[str]:
    """The multipart form."""
    return [one.verdict for one in client.upload(project, deployment, files, below=below)]


WAYS: dict[str, Send] = {"form": by_form}
"""Every way to upload."""

LOCATIONS = ("猫の森", "Šumava, č. 3", "ridge " * 30)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A card's folder; two of its files show the same camera at the same second, with different content."""
    plan = SeasonPlan(seed=3, sites=1, images=12, faults={"no_date": 1})
    season = draw_season(plan, tmp_path / "season")
    folder = tmp_path / "card"
    shutil.copytree(season.folder / season.deployments[0].folder, folder / "DCIM" / "100RECNX")
    twin = sorted((folder / "DCIM" / "100RECNX").iterdir())[0]
    (folder / "DCIM" / "101RECNX").mkdir()
    (folder / "DCIM" / "101RECNX" / twin.name).write_bytes(twin.read_bytes() + b"\0\0padding")
    return folder


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def names(client: VarangerClient, project: str) -> dict[str, tuple[str, str]]:
    """{sha256: (name, media id)} of the project's media."""
    return {one.sha256: (one.name, one.media_id) for one in client.media(project, state="media")}


@pytest.mark.parametrize("way", WAYS)
def test_a_card_again_changes_nothing(up: Any, varanger: Any, card: Path, tmp_path: Path, way: str) -> None:
    up.start()
    key = varanger("key", "create", "--project", "*", "--scope", "admin", "--data", str(up.data)).stdout.strip()
    files = files_of(card)
    moved = tmp_path / "copy of the card" / "E"
    shutil.copytree(card / "DCIM", moved)
    shuffled = files_of(moved)
    random.Random(1).shuffle(shuffled)
    with VarangerClient(up.url, key) as client:
        for number, location in enumerate(LOCATIONS):
            first, second = f"first-{number}", f"second-{number}"
            for project in (first, second):
                client.create_project(project)
                client.put_deployment(project, "d", location_id=location)
            assert by_form(client, first, "d", files, card) == ["accepted"] * len(files)
            up.until(lambda project=first: client.stats(project).media == len(files))
            before = names(client, first)
            assert len({name for name, _ in before.values()}) == len(files)
            assert sum("_nodate_" in name for name, _ in before.values()) == 1

            client.put_deployment(first, "d", location_id="renamed since")
            assert WAYS[way](client, first, "d", shuffled, moved.parent) == ["duplicate"] * len(files)
            assert WAYS[way](client, second, "d", shuffled, moved.parent) == ["accepted"] * len(files)
            up.until(lambda project=second: client.stats(project).media == len(files))
            assert client.stats(first).pending == 0
            assert names(client, first) == before
            assert client.stats(first).media == len(files)
            again = names(client, second)
            assert {digest: again[digest][0] for digest in again} == {digest: before[digest][0] for digest in before}
            paths = {one.original_path for one in client.media(first, state="media")}
            assert paths == {path.relative_to(card).as_posix() for path in files}
