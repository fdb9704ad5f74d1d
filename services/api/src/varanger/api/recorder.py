"""The process `varanger-api recorder`: facts → catalog; dead letters, reconciler and sweeper beside it."""

from datetime import timedelta
from uuid import uuid4

from varanger.api.application.idempotency import forget_idempotency_keys
from varanger.api.application.reconcile import reconcile, send_everything_again
from varanger.api.application.record_facts import fact_recorder
from varanger.api.application.record_releases import release_recorder
from varanger.api.application.sweep import forget_inbox, sweep_recorded, sweep_rowless
from varanger.api.application.take_dead_letters import DeadLetterTaker
from varanger.api.application.tidy_partial_uploads import tidy_partial_uploads
from varanger.common import topology
from varanger.common.catalog.leases import take_lease
from varanger.common.catalog.opening import wired_catalog
from varanger.common.clock import now
from varanger.common.consumer import Consumer
from varanger.common.process import Loop, Service, Wiring
from varanger.common.telemetry.health import Progress

RECORDER_BATCH = 64
LEASE_S = 90.0


async def build_recorder(wiring: Wiring) -> Service:
    """Consumers for facts, releases and dead letters; leased loops for what must be done by one alone."""
    settings = wiring.settings
    catalog = await wired_catalog(wiring)
    bus = await wiring.bus()
    objects = await wiring.objects()
    progress = Progress(settings.stall_after_s)
    holder = str(uuid4())
    if settings.bus_url.startswith("memory:"):
        # What was in flight at the last stop is in no queue any more.
        await send_everything_again(catalog)

    async def reconcile_step() -> bool:
        if await take_lease(catalog, "reconciler", holder, LEASE_S) is not None:
            await reconcile(catalog, bus, now() - timedelta(seconds=settings.reconcile_after_s))
        return False

    async def sweep_step() -> bool:
        if await take_lease(catalog, "sweeper", holder, LEASE_S) is None:
            return False
        return await sweep_recorded(catalog, objects)

    async def tidy_step() -> bool:
        if await take_lease(catalog, "tidy", holder, LEASE_S) is not None:
            await sweep_rowless(catalog, objects, settings.sweep_after_s)
            await tidy_partial_uploads(catalog, objects, settings.sweep_after_s)
            await forget_inbox(catalog)
            await forget_idempotency_keys(catalog)
        return False

    facts = fact_recorder(catalog)
    releases = release_recorder(catalog)
    released = (topology.RELEASES, topology.PROMOTIONS)
    retry = settings.retry_delays_s
    return Service(
        name="recorder",
        progress=progress,
        checks={"catalog": catalog.ping, "bus": bus.ping, "objects": objects.ping},
        consumers=[
            Consumer(
                "recorder",
                bus,
                topology.RECORDER,
                facts,
                progress,
                batch=RECORDER_BATCH,
                prefetch=2 * RECORDER_BATCH,
                retry_delays_s=retry,
                count_tries=False,
            ),
            Consumer("releases", bus, released, releases, progress, retry_delays_s=retry),
            DeadLetterTaker(bus, catalog, progress),
        ],
        loops=[
            Loop("reconcile", reconcile_step, min(60.0, settings.reconcile_after_s / 2)),
            Loop("sweep", sweep_step, 10.0),
            Loop("tidy", tidy_step, 3600.0),
        ],
    )
