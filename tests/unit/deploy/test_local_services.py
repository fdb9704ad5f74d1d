"""`up` and `down` on services that only pretend to run."""

from pathlib import Path

import pytest
import services
from local_services import compose, debian
from local_services.address import Address
from local_services.processes import ServiceError
from local_services.service import LocalService


class PretendService(LocalService):
    """Runs while its folder holds a file named `runs`."""

    name = "pretend"
    variable = "VARANGER_TEST_PRETEND_URL"
    default_url = "http://127.0.0.1:4999"
    default_port = 4999
    packages = ("pretend-server",)
    compose_service = "pretend"
    installed = True
    failure = ""

    def complaint(self, address: Address) -> str | None:
        running = self.folder / "runs"
        return None if running.exists() and running.read_text() == address.url else "nobody there"

    def is_installed(self) -> bool:
        return self.installed

    def start(self, wanted: Address) -> Address:
        if self.failure:
            raise ServiceError(self.failure)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "runs").write_text(wanted.url)
        return wanted

    def stop(self) -> bool:
        was_there = (self.folder / "runs").exists()
        (self.folder / "runs").unlink(missing_ok=True)
        return was_there


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No root, no Docker, nothing configured."""
    monkeypatch.delenv("VARANGER_TEST_PRETEND_URL", raising=False)
    monkeypatch.setattr(debian, "can_install", lambda: False)
    monkeypatch.setattr(compose, "is_available", lambda: False)
    monkeypatch.setattr(services, "port_is_free", lambda port: True)
    monkeypatch.setattr(services, "wait_until", lambda condition, seconds: condition())


def test_up_starts_what_is_missing_and_writes_its_url(tmp_path: Path):
    service = PretendService(tmp_path)
    assert services.up(tmp_path, [service]) == 0
    assert services.read_environment(tmp_path) == {"VARANGER_TEST_PRETEND_URL": "http://127.0.0.1:4999/"}
    assert services.show_status(tmp_path, [service]) == 0


def test_up_again_uses_what_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    service = PretendService(tmp_path)
    services.up(tmp_path, [service])
    service.failure = "must not be started again"
    assert services.up(tmp_path, [service]) == 0
    assert "answers at http://127.0.0.1:4999" in capsys.readouterr().out


def test_up_starts_at_the_configured_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VARANGER_TEST_PRETEND_URL", "http://me:pw@127.0.0.1:5001")
    assert services.up(tmp_path, [PretendService(tmp_path)]) == 0
    assert services.read_environment(tmp_path) == {"VARANGER_TEST_PRETEND_URL": "http://me:pw@127.0.0.1:5001/"}


def test_another_machine_is_never_replaced_by_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("VARANGER_TEST_PRETEND_URL", "http://store.example.org:5001")
    assert services.up(tmp_path, [PretendService(tmp_path)]) == 1
    assert "which is another machine" in capsys.readouterr().err


def test_a_configured_port_that_another_program_holds_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("VARANGER_TEST_PRETEND_URL", "http://127.0.0.1:5001")
    monkeypatch.setattr(services, "port_is_free", lambda port: False)
    assert services.up(tmp_path, [PretendService(tmp_path)]) == 1
    assert "something else is at http://127.0.0.1:5001/ (nobody there)" in capsys.readouterr().err


def test_containers_are_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Asked of `docker compose`: the one service, at its port, with its login; and to be removed by `down`."""
    service = PretendService(tmp_path)
    service.installed = False
    asked: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], env: dict[str, str]) -> str:
        asked.append((list(command), env))
        if "up" in command:
            service.start(Address.parse(service.default_url))
        return ""

    monkeypatch.setattr(compose, "is_available", lambda: True)
    monkeypatch.setattr(compose, "run", run)
    monkeypatch.setitem(compose.LOGIN_VARIABLES, "pretend", ("RABBITMQ_USER", "RABBITMQ_PASSWORD"))
    monkeypatch.setattr(PretendService, "default_url", "http://me:pw@127.0.0.1:4999")
    assert services.up(tmp_path, [service]) == 0
    command, environment = asked[0]
    assert command[command.index("up") :] == ["up", "--detach", "--wait", "--no-deps", "pretend"]
    assert all(Path(path).exists() for path in command if path.endswith((".yaml", ".example")))
    assert environment["LOCAL_PRETEND_PORT"] == "4999"
    assert (environment["RABBITMQ_USER"], environment["RABBITMQ_PASSWORD"]) == ("me", "pw")
    services.down(tmp_path, [service])
    assert asked[1][0][-2:] == ["down", "--volumes"]
    assert not compose.Compose(tmp_path).runs()


def test_what_cannot_be_had_is_said_with_the_ways_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    service = PretendService(tmp_path)
    service.installed = False
    assert services.up(tmp_path, [service]) == 1
    told = capsys.readouterr().err
    assert told.startswith(
        "pretend cannot be had here: as root on Debian install pretend-server, or install Docker with"
        " `docker compose`, or point VARANGER_TEST_PRETEND_URL to one that runs."
    )
    assert services.read_environment(tmp_path) == {}


def test_a_failed_start_keeps_the_other_services(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    class Second(PretendService):
        name = "second"
        variable = "VARANGER_TEST_SECOND_URL"
        default_url = "http://127.0.0.1:4998"

    broken = PretendService(tmp_path)
    broken.failure = "its log ends: out of memory"
    assert services.up(tmp_path, [broken, Second(tmp_path)]) == 1
    assert services.read_environment(tmp_path) == {"VARANGER_TEST_SECOND_URL": "http://127.0.0.1:4998/"}
    assert "out of memory" in capsys.readouterr().err


def test_missing_programs_are_installed_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    service = PretendService(tmp_path)
    service.installed = False
    asked: list[str] = []

    def install(packages: list[str]) -> None:
        asked.extend(packages)
        service.installed = True

    monkeypatch.setattr(debian, "can_install", lambda: True)
    monkeypatch.setattr(debian, "install", install)
    assert services.up(tmp_path, [service]) == 0
    assert asked == ["pretend-server"]


def test_down_stops_what_was_started_and_forgets_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    service = PretendService(tmp_path)
    services.up(tmp_path, [service])
    assert services.down(tmp_path, [service]) == 0
    assert services.show_environment(tmp_path) == 1
    assert services.show_status(tmp_path, [service]) == 1
    services.down(tmp_path, [service])
    assert "was not started here, left alone" in capsys.readouterr().out


def test_urls_with_passwords_are_readable_by_their_owner_alone(tmp_path: Path):
    services.up(tmp_path, [PretendService(tmp_path)])
    assert (tmp_path / "services.env").stat().st_mode & 0o077 == 0
