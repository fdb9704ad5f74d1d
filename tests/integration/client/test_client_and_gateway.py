"""The client against the real gateway over a loopback socket: SQLite, a folder, the memory bus."""

import asyncio
import csv
import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from varanger.api.application.keys import create_key
from varanger.api.domain.access import Scope
from varanger.api.gateway.app import create_app
from varanger.client import GatewayAway, RequestRefused, VarangerClient
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.catalog import open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.settings import Settings
from varanger.common.telemetry.health import QuietServer
from varanger.fieldsim import SeasonPlan, draw_season

LIMIT = 3 << 20


@dataclass
class House:
    url: str
    keys: dict[str, str]
    objects: Path


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty catalog."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.sqlite"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def house(tmp_path: Path, migrated: bytes) -> Iterator[House]:
    """The gateway in a thread of its own."""
    (tmp_path / "catalog.sqlite").write_bytes(migrated)
    catalog_url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    up, keys, server = threading.Event(), {}, None
    listener = socket.create_server(("127.0.0.1", 0))
    spool = tmp_path / "spool"
    spool.mkdir()

    async def serve() -> None:
        nonlocal server
        settings = Settings(max_file_bytes=LIMIT)
        catalog, objects = open_catalog(catalog_url), FileObjectStore(tmp_path / "objects")
        bus = MemoryBus(settings.retry_delays_s)
        await bus.start()
        for scope in Scope:
            keys[scope.value] = await create_key(catalog, scopes=[scope], label=scope.value)
        app = create_app(settings, catalog, objects, bus, spool_folder=spool)
        server = QuietServer(app, "127.0.0.1", 0)
        up.set()
        await server.serve(sockets=[listener])
        await bus.close()
        await objects.close()
        await catalog.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(60)
    yield House(f"http://127.0.0.1:{listener.getsockname()[1]}", keys, tmp_path / "objects")
    assert server is not None
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()
    assert list(spool.iterdir()) == [], "the spool is left clean"


@pytest.fixture
def client(house: House) -> Iterator[VarangerClient]:
    with VarangerClient(house.url, house.keys["admin"], sleep=lambda _: None) as opened:
        opened.create_project("tundra", "Tundra")
        opened.put_deployment("tundra", "north-1", location_id="north", time_zone="Europe/Oslo")
        yield opened


COUNTS = {"received": 0, "media": 0, "duplicate": 0, "quarantined": 0, "failed": 0, "pending": 0}


def counts(client: VarangerClient) -> dict[str, int]:
    stats = client.stats("tundra")
    return {name: getattr(stats, name) for name in COUNTS}


def test_a_drawn_card_is_taken_once(client, house, tmp_path):
    season = draw_season(
        SeasonPlan(seed=5, sites=1, images=21, faults={"duplicate": 2, "empty_file": 1}), tmp_path / "season"
    )
    [deployment] = season.deployments
    folder = season.folder / deployment.folder
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    seen = []
    with VarangerClient(house.url, house.keys["upload"]) as gateway_box:
        verdicts = gateway_box.upload_folder(
            "tundra", "north-1", folder, lane="bulk", on_progress=lambda *done: seen.append(done)
        )
    assert [folder / verdict.file for verdict in verdicts] == files
    assert [verdict.sha256 for verdict in verdicts] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    assert seen[-1] == (24, 24)
    assert len(seen) > 1, "more than one request"
    by_verdict = {word: [v for v in verdicts if v.verdict == word] for word in ("accepted", "duplicate")}
    assert (len(by_verdict["accepted"]), len(by_verdict["duplicate"])) == (22, 2)
    first = {verdict.sha256: verdict.media_id for verdict in by_verdict["accepted"]}
    assert all(verdict.media_id == first[verdict.sha256] for verdict in by_verdict["duplicate"])
    assert counts(client) == COUNTS | {"received": 24, "duplicate": 2, "pending": 22}
    stored = {hashlib.sha256(path.read_bytes()).hexdigest() for path in house.objects.glob("incoming/tundra/*")}
    assert stored == set(first)
    found = {media.media_id for media in client.media("tundra", state="pending", limit=5)}
    assert found == set(first.values()), "five pages"
    one = client.one_media(str(verdicts[0].media_id))
    assert one.history[0].what == "received"


def test_sent_again_everything_is_a_duplicate(client, tmp_path):
    (tmp_path / "card").mkdir()
    for number in range(3):
        (tmp_path / "card" / f"IMG_{number}.JPG").write_bytes(bytes([number]))
    first = client.upload_folder("tundra", "north-1", tmp_path / "card")
    again = client.upload_folder("tundra", "north-1", tmp_path / "card")
    assert {verdict.verdict for verdict in again} == {"duplicate"}
    assert [verdict.media_id for verdict in again] == [verdict.media_id for verdict in first]


def test_names_arrive_as_they_are(client, tmp_path):
    names = ["bær og rød.JPG", 'a"b.JPG', "back\\slash.JPG", "%41;=.JPG", "100%.JPG"]
    (tmp_path / "card").mkdir()
    for name in names:
        (tmp_path / "card" / name).write_bytes(name.encode())
    verdicts = client.upload_folder("tundra", "north-1", tmp_path / "card")
    assert sorted(verdict.file for verdict in verdicts) == sorted(names)
    arrived = {media.media_id: media.original_path for media in client.media("tundra")}
    kept = {verdict.file: arrived[verdict.media_id] for verdict in verdicts}
    for name in ("bær og rød.JPG", "%41;=.JPG", "100%.JPG"):
        assert kept[name] == name
    assert kept["back\\slash.JPG"] == "back/slash.JPG", "the gateway takes it for a Windows path"


def test_a_file_over_the_limit_is_rejected_and_the_others_are_taken(client, tmp_path):
    """The gateway answers and hangs up while the body still comes: now and then that cuts the answer off too, and the
    client asks again."""
    files = [tmp_path / f"IMG_{number}.JPG" for number in range(3)]
    for number, path in enumerate(files):
        with path.open("wb") as file:
            file.write(bytes([number]))
            file.truncate(40 << 20 if number == 1 else 1000)
    verdicts = client.upload("tundra", "north-1", files)
    assert [verdict.verdict for verdict in verdicts] == ["accepted", "rejected", "accepted"]
    assert verdicts[1].reason.startswith("413 ")
    assert "the limit is" in verdicts[1].reason


@contextmanager
def relay_that_cuts(url: str, *, answers: int) -> Iterator[str]:
    """A relay in between that drops the gateway's first `answers` answers: what was sent arrived, and nobody hears."""
    target = httpx.URL(url)
    left = [answers]

    def pipe(source: socket.socket, sink: socket.socket, *, answer: bool) -> None:
        while data := _received(source):
            if answer and left[0]:
                left[0] -= 1
                break
            sink.sendall(data)
        for end in (source, sink):
            with closing(end):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection((target.host, target.port))
            for source, sink, answer in ((near, far, False), (far, near, True)):
                threading.Thread(target=pipe, args=(source, sink), kwargs={"answer": answer}, daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(1 << 16)
    except OSError:
        return b""


def test_an_answer_lost_on_the_way_loses_no_file_and_doubles_none(client, house, tmp_path):
    path = tmp_path / "IMG_0001.JPG"
    path.write_bytes(b"photo" * 100_000)
    with (
        relay_that_cuts(house.url, answers=1) as url,
        VarangerClient(url, house.keys["upload"], sleep=lambda _: None) as far,
    ):
        [verdict] = far.upload("tundra", "north-1", [path])
    assert (verdict.verdict, verdict.repeated) == ("duplicate", True)
    assert [media.media_id for media in client.media("tundra", state="pending")] == [verdict.media_id]
    assert counts(client) == COUNTS | {"received": 2, "duplicate": 1, "pending": 1}


def test_a_gateway_that_is_not_there(house):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    pauses = []
    with (
        VarangerClient(f"http://127.0.0.1:{port}", "key", tries=3, sleep=pauses.append) as client,
        pytest.raises(GatewayAway, match="ConnectError"),
    ):
        client.stats("tundra")
    assert len(pauses) == 2


def test_no_proxy_is_asked_for_this_machine(house, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with VarangerClient(house.url, house.keys["admin"], tries=1) as client:
        assert client.create_project("taiga").project_id == "taiga"


def test_refusals_name_what_is_wrong(client, house, tmp_path):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"photo")
    with pytest.raises(RequestRefused, match="409"):
        client.create_project("tundra")
    with pytest.raises(RequestRefused, match="time_zone"):
        client.put_deployment("tundra", "south-1", location_id="south", time_zone="Mars/Olympus")
    with pytest.raises(RequestRefused, match=r"404.*'south-9'"):
        client.upload("tundra", "south-9", [photo])
    with pytest.raises(RequestRefused, match=r"422.*lane"):
        client.upload("tundra", "north-1", [photo], lane="express")
    with VarangerClient(house.url, "vk_wrong") as stranger, pytest.raises(RequestRefused, match="401"):
        stranger.upload("tundra", "north-1", [photo])
    with VarangerClient(house.url, house.keys["read"]) as reader, pytest.raises(RequestRefused, match="403"):
        reader.upload("tundra", "north-1", [photo])


def test_a_round_can_be_asked_for_and_followed(client):
    asked = client.request_round("tundra", {"seed": 1, "overall": 10, "per_class": 5, "per_bin": 5})
    found = client.round(asked.round_id)
    assert found.round_id == asked.round_id
    assert list(client.tasks(asked.round_id)) == []


def test_the_table_of_an_empty_project_has_its_head(client, tmp_path):
    table = tmp_path / "table.csv"
    client.final_table("tundra", table)
    [head] = csv.reader(table.read_text().splitlines())
    assert head[:6] == ["locality", "site", "date", "time", "image_name", "class_id"]
    with pytest.raises(RequestRefused, match="404"):
        client.final_table("steppe", tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()
