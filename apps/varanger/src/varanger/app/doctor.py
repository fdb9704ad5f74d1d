"""`varanger doctor`: what is missing here, and how to get it."""

import asyncio
import importlib.util
import platform
import shutil
import sys
from dataclasses import dataclass

from rich.console import Console

from varanger.common.adapters import open_bus, open_object_store
from varanger.common.catalog import open_catalog
from varanger.common.errors import VarangerError
from varanger.common.settings import Settings


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    good: bool
    text: str
    needed: bool = True


def examine_machine(console: Console) -> bool:
    """Print every finding; whether all that is needed is there."""
    findings = [*_programs(), *asyncio.run(_dependencies(Settings()))]
    for one in findings:
        mark = "[green]ok  [/]" if one.good else ("[red]no  [/]" if one.needed else "[yellow]–   [/]")
        console.print(f"{mark} {one.name}: {one.text}", highlight=False)
    return all(one.good for one in findings if one.needed)


def _programs() -> list[Finding]:
    good = sys.version_info >= (3, 11)
    exiftool = shutil.which("exiftool")
    torch = importlib.util.find_spec("torch") is not None
    return [
        Finding("python", good, f"{platform.python_version()}" + ("" if good else "; Varanger needs 3.11 or newer")),
        Finding(
            "exiftool",
            exiftool is not None,
            exiftool
            or "without it camera maker notes stay unread: install libimage-exiftool-perl (Debian), exiftool (brew)",
            needed=False,
        ),
        Finding(
            "training",
            torch,
            "torch is here" if torch else 'only `varanger train` needs it: pip install "varanger-trainer[torch]"',
            needed=False,
        ),
    ]


async def _dependencies(settings: Settings) -> list[Finding]:
    bus = open_bus(settings.bus_url)
    objects = open_object_store(settings.objects_url)
    catalog = open_catalog(settings.catalog_url)
    found = []
    for name, url, check in (
        ("bus", settings.bus_url, bus.start),
        ("objects", settings.objects_url, objects.ping),
        ("catalog", settings.catalog_url, catalog.check_revision),
    ):
        shown = url.rsplit("@", 1)[-1]
        try:
            await check()
            found.append(Finding(name, True, f"{shown} answers"))
        except VarangerError as error:
            found.append(Finding(name, False, f"{shown}: {error}"))
    for opened in (bus, objects, catalog):
        await opened.close()
    return found
