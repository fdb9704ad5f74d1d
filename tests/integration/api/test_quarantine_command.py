"""`varanger quarantine` against the gateway it was written for: an operator's way from the list to the release."""

import asyncio
from pathlib import Path
from uuid import UUID

from typer.testing import CliRunner

from varanger.api.application.keys import create_key
from varanger.api.application.record_facts import fact_recorder
from varanger.api.domain.access import Scope
from varanger.api.gateway.app import create_app
from varanger.app.cli import app as varanger
from varanger.client import VarangerClient
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.messages import Envelope, MediaQuarantined
from varanger.common.settings import Settings
from varanger.common.telemetry.health import QuietServer


async def test_an_operator_looks_at_the_quarantine_and_sends_a_file_back(postgres_url: str, tmp_path: Path) -> None:
    await asyncio.to_thread(migrate, postgres_url)
    catalog = open_catalog(postgres_url)
    objects = FileObjectStore(tmp_path / "objects")
    key = await create_key(catalog, scopes=[Scope.ADMIN], label="operator")
    server = QuietServer(create_app(Settings(), catalog, objects, MemoryBus(())), "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        media_id = await asyncio.to_thread(_send, url, key, tmp_path)
        await _refuse(catalog, media_id)
        await asyncio.to_thread(_mend, url, key, media_id)
    finally:
        server.should_exit = True
        await serving
        await objects.close()
        await catalog.close()


def _send(url: str, key: str, folder: Path) -> str:
    card = folder / "card"
    card.mkdir()
    (card / "IMG_0001.PNG").write_bytes(b"a jpeg, really")
    with VarangerClient(url, key, tries=2) as client:
        client.create_project("tundra")
        for deployment in ("north-1", "south-1"):
            client.put_deployment("tundra", deployment, location_id=deployment)
        [verdict] = client.upload_folder("tundra", "north-1", card)
    assert verdict.media_id is not None
    return verdict.media_id


async def _refuse(catalog: Catalog, media_id: str) -> None:
    verdict = MediaQuarantined(
        media_id=UUID(media_id),
        deployment_id="north-1",
        key=f"quarantine/tundra/{media_id}",
        sha256="0" * 64,
        bytes=14,
        reason="extension_mismatch",
        detail="a JPEG that is called .PNG",
    )
    await fact_recorder(catalog)([Envelope.wrap(verdict, project_id="tundra", producer="ingest/test")])


def _mend(url: str, key: str, media_id: str) -> None:
    environment = {"VARANGER_URL": url, "VARANGER_KEY": key}

    def said(*words: str) -> str:
        done = CliRunner().invoke(varanger, ["quarantine", *words], env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    assert media_id in said("list", "--project", "tundra", "--reason", "extension_mismatch")
    assert media_id not in said("list", "--project", "tundra", "--deployment", "south-1")
    shown = said("show", media_id)
    assert "IMG_0001.PNG (14 bytes): quarantined" in shown
    assert "extension_mismatch: a JPEG that is called .PNG" in shown
    sent = said(
        "release", media_id, "--deployment", "south-1", "--captured-at", "2024-05-06T07:08:09", "--accept-as-is"
    )
    assert "IMG_0001.PNG is on its way again, for south-1" in sent
    with VarangerClient(url, key, tries=1) as client:
        [item] = client.quarantine("tundra")
        assert item.mend == {"captured_at": "2024-05-06T07:08:09", "accept_as_is": True}
        assert client.one_media(media_id).state == "pending"
    again = CliRunner().invoke(varanger, ["quarantine", "release", media_id], env=environment)
    assert again.exit_code != 0
    assert "'pending', not quarantined" in str(again.exception)
