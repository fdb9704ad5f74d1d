#!/usr/bin/env python3
"""Bring up, show and stop the services that the tests need: RabbitMQ, PostgreSQL, an S3 store, Triton.

    python3 deploy/local/services.py up | status | env | down

`up` uses what already answers at the configured URLs; else starts it from this machine's own programs, which
it installs where it may (root on Debian); else starts containers; else says in one sentence what to do.
`down` stops only what `up` started. Needs nothing but Python's standard library.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from local_services import compose, debian, tools
from local_services.address import Address, port_is_free
from local_services.object_store import ObjectStore
from local_services.postgresql import PostgreSQL
from local_services.processes import ServiceError, wait_until
from local_services.rabbitmq import RabbitMQ
from local_services.service import LocalService
from local_services.triton import Triton

SERVICES: tuple[type[LocalService], ...] = (RabbitMQ, PostgreSQL, ObjectStore, Triton)
REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run one command; 0 when everything asked for is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("up", "down", "status", "env"))
    parser.add_argument("--only", nargs="+", choices=[s.name for s in SERVICES], help="these services alone")
    arguments = parser.parse_args()
    state = Path(os.environ.get("VARANGER_SERVICES_DIR") or REPOSITORY / ".varanger" / "services").resolve()
    state.mkdir(parents=True, exist_ok=True)
    chosen = [service(state) for service in SERVICES if not arguments.only or service.name in arguments.only]
    if arguments.command == "env":
        return show_environment(state)
    if arguments.command == "status":
        return show_status(state, chosen)
    with one_at_a_time(state):
        if arguments.command == "down":
            return down(state, chosen)
        complaint = tools.provide()
        if complaint is not None:
            print(complaint, file=sys.stderr)
        return up(state, chosen) or int(complaint is not None)


def up(state: Path, services: list[LocalService]) -> int:
    """Have every service answer; write their URLs to services.env; 1 when one cannot be had."""
    found: dict[str, str] = {}
    missing: list[LocalService] = []
    for service in services:
        address = already_there(state, service)
        if address is None:
            missing.append(service)
        else:
            say(service, f"answers at {address.shown}")
            found.update(variables(service, address))
    complaints: dict[str, str] = {}
    install(missing, complaints)
    for service in missing:
        try:
            found.update(variables(service, start_here(service)))
            complaints.pop(service.name, None)
        except (ServiceError, RuntimeError, OSError) as error:
            complaints[service.name] = complaints.get(service.name) or str(error)
            service.stop()
    left = [service for service in missing if service.name in complaints]
    found.update(start_containers(state, left, complaints))
    remember(state, found)
    for text in complaints.values():
        print(text, file=sys.stderr)
    if not complaints:
        print(f"All there. Their URLs are in {state / 'services.env'}")
    return 1 if complaints else 0


def down(state: Path, services: list[LocalService]) -> int:
    """Stop what `up` started, and forget its URLs."""
    for service in services:
        say(service, "stopped" if service.stop() else "was not started here, left alone")
    if compose.Compose(state).stop():
        print("containers: stopped")
    forgotten = {service.variable for service in services}
    remember(state, {k: v for k, v in read_environment(state).items() if k not in forgotten}, replace=True)
    return 0


def show_status(state: Path, services: list[LocalService]) -> int:
    """Say of each service where it is and who runs it; 1 when one does not answer."""
    known = read_environment(state)
    silent = 0
    for service in services:
        url = os.environ.get(service.variable) or known.get(service.variable) or service.default_url
        address = Address.parse(url, service.default_port)
        complaint = service.complaint(address)
        silent += complaint is not None
        ours = f"started here ({', '.join(service.runs())})" if service.runs() else "not started here"
        say(service, f"{address.shown}: {'answers' if complaint is None else complaint}; {ours}")
    return 1 if silent else 0


def show_environment(state: Path) -> int:
    """Print KEY=VALUE lines of the services that the last `up` found or started."""
    known = read_environment(state)
    for key, value in known.items():
        print(f"{key}={value}")
    if not known:
        print("No services are known here: run `make services` first.", file=sys.stderr)
    return 0 if known else 1


def already_there(state: Path, service: LocalService) -> Address | None:
    """Where the service answers now: as configured, as an earlier `up` left it, or at its usual place."""
    configured = os.environ.get(service.variable)
    remembered = read_environment(state).get(service.variable)
    for url in [configured] if configured else filter(None, [remembered, service.default_url]):
        address = Address.parse(url, service.default_port)
        if service.complaint(address) is None:
            return address
    return None


def install(missing: list[LocalService], complaints: dict[str, str]) -> None:
    """Install the programs of those services that lack them, in one go, where that is allowed."""
    lacking = [service for service in missing if not service.is_installed()]
    if not lacking or not debian.can_install():
        return
    packages = [package for service in lacking for package in service.packages]
    print(f"installing {' '.join(packages)} ...", flush=True)
    try:
        debian.install(packages)
    except ServiceError as error:
        complaints.update({service.name: sentence(service, str(error)) for service in lacking})


def start_here(service: LocalService) -> Address:
    """Start a service from this machine's programs, unless its fresh package already did.

    Raises:
        ServiceError: it cannot be started here; the text says why and what to do.
    """
    wanted = wanted_address(service)
    if not wanted.is_loopback:
        raise ServiceError(sentence(service, f"nothing answers at {wanted.shown}, which is another machine"))
    if sys.platform != "linux":
        raise ServiceError(sentence(service, "starting programs of this machine is known for Linux alone"))
    if Path("/run/systemd/system").is_dir() and wait_until(partial(answers, service, wanted), 5):
        say(service, f"answers at {wanted.shown} (the system runs it)")
        return wanted
    if not service.is_installed():
        raise ServiceError(sentence(service, "its programs are not installed and this is not root on Debian"))
    if service.stop():
        say(service, "a half-started earlier run was stopped")
    if os.environ.get(service.variable) and not port_is_free(wanted.port):
        # Started elsewhere it would not be found: who set the variable reads the variable.
        why = f"something else is at {wanted.shown} ({service.complaint(wanted)})"
        raise ServiceError(sentence(service, why))
    say(service, "starting ...")
    try:
        address = service.start(wanted)
    except ServiceError as error:
        raise ServiceError(sentence(service, str(error))) from error
    say(service, f"started at {address.shown}")
    return address


def start_containers(state: Path, left: list[LocalService], complaints: dict[str, str]) -> dict[str, str]:
    """Start as containers what this machine could not run itself; complaints that are met are removed."""
    here = [(service, wanted_address(service)) for service in left if wanted_address(service).is_loopback]
    if not here or not compose.is_available():
        return {}
    print(f"starting containers for {', '.join(service.name for service, _ in here)} ...", flush=True)
    found: dict[str, str] = {}
    containers = compose.Compose(state)
    try:
        containers.start(here)
    except ServiceError as error:
        complaints.update({service.name: sentence(service, str(error)) for service, _ in here})
        return {}
    for service, address in here:
        if wait_until(partial(answers, service, address), 60):
            say(service, f"started at {address.shown} (container)")
            found.update({service.variable: address.url, **containers.more_variables(service)})
            del complaints[service.name]
    return found


def answers(service: LocalService, address: Address) -> bool:
    """Whether the service can be used at this address."""
    return service.complaint(address) is None


def wanted_address(service: LocalService) -> Address:
    """Where the service should be when we start it."""
    return Address.parse(os.environ.get(service.variable) or service.default_url, service.default_port)


def sentence(service: LocalService, why: str) -> str:
    """One sentence that says what cannot be had, why, and how to get it."""
    own = f"as root on Debian install {' '.join(service.packages)}{service.also_needs}"
    container = "install Docker with `docker compose`"
    ways = f"{own}, or {container}, or point {service.variable} to one that runs"
    return f"{service.name} cannot be had here: {ways}. The reason: {why}"


def variables(service: LocalService, address: Address) -> dict[str, str]:
    """What tests read about a service."""
    return {service.variable: address.url, **service.more_variables(address)}


def say(service: LocalService, text: str) -> None:
    """Tell the person about one service."""
    print(f"{service.name}: {text}", flush=True)


def read_environment(state: Path) -> dict[str, str]:
    """The variables of the last `up`; empty when there was none."""
    with contextlib.suppress(FileNotFoundError):
        lines = (state / "services.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)
    return {}


def remember(state: Path, found: dict[str, str], *, replace: bool = False) -> None:
    """Write the variables for later calls and for tests; whole or not at all."""
    merged = found if replace else {**read_environment(state), **found}
    draft = state / "services.env.new"
    draft.touch(mode=0o600)
    draft.write_text("".join(f"{key}={value}\n" for key, value in sorted(merged.items())))
    draft.replace(state / "services.env")


@contextlib.contextmanager
def one_at_a_time(state: Path) -> Iterator[None]:
    """Let one `up` or `down` work while others wait for it."""
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run is at work; waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
