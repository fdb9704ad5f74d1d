"""The qc process: takes `qc.round.requested.v1` and `review.recorded.v1`; draws rounds and estimates them."""

from functools import partial

from varanger.common import topology
from varanger.common.catalog import Catalog
from varanger.common.catalog.opening import wired_catalog
from varanger.common.consumer import Consumer
from varanger.common.process import Loop, Service, Wiring, run_process
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Progress
from varanger.qc.application.estimate_round import catch_up
from varanger.qc.application.handle import HandleQc

REVIEWS_AT_ONCE = 64
"""Deliveries per batch: a reviewer's burst of answers costs one estimate, not one each."""


async def build(wiring: Wiring) -> Service:
    """The service: one handler on one queue, one batch at a time."""
    settings = wiring.settings
    bus, catalog = await wiring.bus(), await wired_catalog(wiring)
    progress = Progress(settings.stall_after_s)
    consumer = Consumer(
        "qc",
        bus,
        [topology.QC],
        build_qc(settings, catalog),
        progress,
        batch=REVIEWS_AT_ONCE,
        prefetch=REVIEWS_AT_ONCE * 2,
        retry_delays_s=settings.retry_delays_s,
    )
    catching_up = Loop("qc.catch_up", partial(catch_up, catalog), every_s=settings.reconcile_after_s)
    return Service(
        "qc",
        progress,
        checks={"bus": bus.ping, "catalog": catalog.ping},
        consumers=[consumer],
        loops=[catching_up],
    )


def build_qc(_settings: Settings, catalog: Catalog) -> HandleQc:
    """The handler, for this process and for the embedded mode."""
    return HandleQc(catalog)


def main() -> None:
    """Console script `varanger-qc`."""
    run_process("qc", build)


if __name__ == "__main__":
    main()
