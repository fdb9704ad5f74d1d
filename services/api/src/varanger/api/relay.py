"""The process `varanger-api relay`: outbox → bus."""

from varanger.api.application.relay_outbox import forget_published, measure_outbox, relay_once
from varanger.common.catalog.opening import wired_catalog
from varanger.common.process import Loop, Service, Wiring
from varanger.common.telemetry.health import Progress


async def build_relay(wiring: Wiring) -> Service:
    """Three loops: send what is owed, and keep the outbox measured and small."""
    settings = wiring.settings
    catalog = await wired_catalog(wiring)
    bus = await wiring.bus()

    async def send() -> bool:
        return await relay_once(catalog, bus)

    async def measure() -> bool:
        await measure_outbox(catalog)
        return False

    async def tidy() -> bool:
        await forget_published(catalog, settings.sweep_after_s)
        return False

    return Service(
        name="relay",
        progress=Progress(settings.stall_after_s),
        checks={"catalog": catalog.ping, "bus": bus.ping},
        loops=[
            Loop("relay", send, settings.relay_poll_s, watched=True),
            Loop("outbox_measure", measure, 15.0),
            Loop("outbox_tidy", tidy, 900.0),  # it reads all of what was published, holding SQLite's only writer
        ],
    )
