"""`varanger-api serve`: the gateway as a process of its own."""

import asyncio
import signal
from contextlib import AsyncExitStack

from varanger.api.gateway.app import create_app
from varanger.common.catalog.opening import wired_catalog
from varanger.common.process import Wiring
from varanger.common.settings import Settings
from varanger.common.telemetry.health import QuietServer
from varanger.common.telemetry.logs import configure_logs


def serve() -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished first."""
    settings = Settings()
    configure_logs("api", log_format=settings.log_format, level=settings.log_level)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        wiring = Wiring(settings, stack, stop)
        catalog = await wired_catalog(wiring)
        objects = await wiring.objects()
        bus = await wiring.bus()
        if stop.is_set():
            return
        server = QuietServer(create_app(settings, catalog, objects, bus), settings.http_host, settings.http_port)
        serving = asyncio.create_task(server.serve())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.should_exit = True
        await serving
