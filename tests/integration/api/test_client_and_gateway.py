"""The SDK against the gateway it was written for."""

import asyncio
from pathlib import Path

import pytest

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Scope
from varanger.api.gateway.app import create_app
from varanger.client import RequestRefused, VarangerClient
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.catalog import open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.settings import Settings
from varanger.common.telemetry.health import QuietServer


async def test_a_season_from_the_sdk(postgres_url: str, tmp_path: Path) -> None:
    await asyncio.to_thread(migrate, postgres_url)
    catalog = open_catalog(postgres_url)
    objects = FileObjectStore(tmp_path / "objects")
    key = await create_key(catalog, scopes=[Scope.ADMIN])
    app = create_app(Settings(max_file_bytes=1 << 20), catalog, objects, MemoryBus(()))
    server = QuietServer(app, "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        await asyncio.to_thread(_use, f"http://127.0.0.1:{port}", key, tmp_path)
    finally:
        server.should_exit = True
        await serving
        await objects.close()
        await catalog.close()


def _use(url: str, key: str, folder: Path) -> None:
    card = folder / "card" / "DCIM" / "100RECNX"
    card.mkdir(parents=True)
    for number in range(30):
        (card / f"IMG_{number:04d}.JPG").write_bytes(b"picture %d" % (number % 25))
    (card / "IMG_9999.JPG").write_bytes(bytes(2 << 20))
    with VarangerClient(url, key, tries=2) as client:
        client.create_project("tundra", "Tundra")
        with pytest.raises(RequestRefused, match="already"):
            client.create_project("tundra")
        client.put_deployment("tundra", "north-1", location_id="north", time_zone="Europe/Oslo")
        with pytest.raises(RequestRefused, match="time_zone"):
            client.put_deployment("tundra", "north-1", location_id="north", time_zone="Oslo")
        verdicts = client.upload_folder("tundra", "north-1", folder / "card")
        found = [verdict.verdict for verdict in verdicts]
        assert {name: found.count(name) for name in found} == {"accepted": 25, "duplicate": 5, "rejected": 1}
        stats = client.stats("tundra")
        assert (stats.received, stats.pending, stats.duplicate) == (30, 25, 5)
        listed = list(client.media("tundra"))
        assert len(listed) == 30
        assert {item.original_path for item in listed} >= {"DCIM/100RECNX/IMG_0000.JPG"}
        assert client.one_media(listed[-1].media_id).history
        asked = client.request_round("tundra", {"overall": 5})
        assert client.round(asked.round_id).state == "requested"
        assert list(client.tasks(asked.round_id)) == []
        client.final_table("tundra", folder / "table.csv")
        assert (folder / "table.csv").read_text().startswith("locality,site,date,time,image_name,class_id")
    with VarangerClient(url, "vgr_wrong", tries=1) as stranger, pytest.raises(RequestRefused, match="key"):
        stranger.stats("tundra")
