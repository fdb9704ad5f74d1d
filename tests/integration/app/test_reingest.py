"""A card that comes again, in another order, from another path, by another way, changes no name and adds no media."""

import hashlib
import itertools
import random
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from varanger.client import VarangerClient
from varanger.fieldsim import SeasonPlan, draw_season

Send = Callable[[VarangerClient, str, str, Sequence[Path], Path], list[str]]
"""Client, project, deployment, files, the folder that their paths are told relative to -> each file's verdict."""


def by_form(client: VarangerClient, project: str, deployment: str, files: Sequence[Path], below: Path) -> list[str]:
    """The multipart form."""
    return [one.verdict for one in client.upload(project, deployment, files, below=below)]


def by_digest(client: VarangerClient, project: str, deployment: str, files: Sequence[Path], below: Path) -> list[str]:
    """PUT of each file under its digest."""
    return [
        client.put_file(project, deployment, file, sha256=sha256_of(file), name=name_of(file, below)).verdict
        for file in files
    ]


def by_tus(client: VarangerClient, project: str, deployment: str, files: Sequence[Path], below: Path) -> list[str]:
    """In pieces."""
    return [client.upload_large(project, deployment, file, name=name_of(file, below)).verdict for file in files]


def by_zip(client: VarangerClient, project: str, deployment: str, files: Sequence[Path], below: Path) -> list[str]:
    """One zip of the card; what became of each of its entries."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "card.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            for file in files:
                packed.write(file, name_of(file, below))
        (sent,) = client.upload(project, deployment, [archive], below=archive.parent)
    assert (sent.verdict, bool(sent.media_id)) == ("accepted", True)
    until = time.monotonic() + 120
    while (whole := client.one_media(str(sent.media_id))).state != "unpacked" or client.stats(project).pending:
        assert time.monotonic() < until, whole
        time.sleep(0.1)
    words = {"media": "accepted", "duplicate": "duplicate"}
    return [words[client.one_media(entry).state] for entry in whole.entries or ()]


WAYS: dict[str, Send] = {"form": by_form, "digest": by_digest, "tus": by_tus, "zip": by_zip}
"""Every way to upload that needs no S3 store."""


def by_presigned(url: str, key: str) -> Send:
    """Straight into the S3 store, which the embedded mode has not; the SDK has no calls for it."""

    def send(_: VarangerClient, project: str, deployment: str, files: Sequence[Path], below: Path) -> list[str]:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as gateway:
            return [_presigned(gateway, project, deployment, file, name_of(file, below)) for file in files]

    return send


def _presigned(gateway: httpx.Client, project: str, deployment: str, file: Path, name: str) -> str:
    content = file.read_bytes()
    wanted = {"project": project, "deployment": deployment, "path": name}
    begun = gateway.post("/v1/uploads/presigned", json=wanted | {"bytes": len(content), "sha256": sha256_of(file)})
    told = begun.raise_for_status().json()
    if begun.status_code == httpx.codes.OK:
        return str(told["verdict"]["verdict"])
    (part,) = told["parts"]
    etag = httpx.put(part["url"], content=content, timeout=60).raise_for_status().headers["etag"]
    named = {"parts": [{"number": part["number"], "etag": etag}]}
    ended = gateway.post(f"/v1/uploads/presigned/{told['upload_id']}/complete", json=named)
    return str(ended.raise_for_status().json()["verdict"])


LOCATIONS = ("猫の森", "Šumava, č. 3", "ridge " * 30)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A card's folder; two of its files show the same camera at the same second, with different content."""
    plan = SeasonPlan(seed=3, sites=1, images=6, faults={"no_date": 1})
    season = draw_season(plan, tmp_path / "season")
    folder = tmp_path / "card"
    shutil.copytree(season.folder / season.deployments[0].folder, folder / "DCIM" / "100RECNX")
    twin = sorted((folder / "DCIM" / "100RECNX").iterdir())[0]
    (folder / "DCIM" / "101RECNX").mkdir()
    (folder / "DCIM" / "101RECNX" / twin.name).write_bytes(twin.read_bytes() + b"\0\0padding")
    return folder


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def name_of(file: Path, below: Path) -> str:
    return file.relative_to(below).as_posix()


def sha256_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def names(client: VarangerClient, project: str) -> dict[str, tuple[str, str]]:
    """{sha256: (name, media id)} of the project's media."""
    return {one.sha256: (one.name, one.media_id) for one in client.media(project, state="media")}


@pytest.mark.parametrize(("way", "location"), list(zip(WAYS, itertools.cycle(LOCATIONS), strict=False)))
def test_a_card_again_changes_nothing(up: Any, varanger: Any, card: Path, way: str, location: str) -> None:
    up.start()
    key = varanger("key", "create", "--project", "*", "--scope", "admin", "--data", str(up.data)).stdout.strip()
    files = files_of(card)
    moved = card.parent / "copy of the card" / "E"
    shutil.copytree(card / "DCIM", moved)
    shuffled = files_of(moved)
    random.Random(1).shuffle(shuffled)
    with VarangerClient(up.url, key) as client:
        for project in ("first", "second"):
            client.create_project(project)
            client.put_deployment(project, "d", location_id=location)
        assert by_form(client, "first", "d", files, card) == ["accepted"] * len(files)
        up.until(lambda: client.stats("first").media == len(files))
        before = names(client, "first")
        assert len({name for name, _ in before.values()}) == len(files)
        assert sum("_nodate_" in name for name, _ in before.values()) == 1

        client.put_deployment("first", "d", location_id="renamed since")
        assert WAYS[way](client, "first", "d", shuffled, moved.parent) == ["duplicate"] * len(files)
        assert WAYS[way](client, "second", "d", shuffled, moved.parent) == ["accepted"] * len(files)
        up.until(lambda: client.stats("second").media == len(files))
        assert client.stats("first").pending == 0
        assert names(client, "first") == before
        assert client.stats("first").media == len(files)
        again = names(client, "second")
        assert {digest: again[digest][0] for digest in again} == {digest: before[digest][0] for digest in before}
        paths = {one.original_path for one in client.media("first", state="media")}
        assert paths == {name_of(path, card) for path in files}
