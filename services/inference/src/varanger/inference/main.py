"""The inference process: takes `classification.requested.v1`, live before bulk, and answers with predictions."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from varanger.common import topology
from varanger.common.consumer import Consumer
from varanger.common.ports.objects import ObjectStore
from varanger.common.ports.predictor import Predictor
from varanger.common.process import Service, Wiring, run_process
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Progress
from varanger.inference import __version__
from varanger.inference.application.classify import ClassifyMedia

BATCHES_AHEAD = 2
"""Batches in hand: one is with the model while the next is fetched and decoded."""


async def build(wiring: Wiring) -> Service:
    """The service: one handler on both lanes."""
    settings = wiring.settings
    bus, objects, predictor = await wiring.bus(), await wiring.objects(), await wiring.predictor()
    resources = wiring.stack.enter_context(ExitStack())
    progress = Progress(settings.stall_after_s)
    consumer = Consumer(
        "inference",
        bus,
        topology.INFERENCE,
        build_inference(settings, objects, predictor, resources),
        progress,
        batch=settings.batch,
        prefetch=max(settings.prefetch, BATCHES_AHEAD * settings.batch),
        concurrency=BATCHES_AHEAD,
        retry_delays_s=settings.retry_delays_s,
    )
    checks = {"bus": bus.ping, "objects": objects.ping, "predictor": predictor.ping}
    return Service("inference", progress, checks=checks, consumers=[consumer])


def build_inference(
    settings: Settings, objects: ObjectStore, predictor: Predictor, resources: ExitStack
) -> ClassifyMedia:
    """The handler, with its decoding threads, which end with `resources`."""
    pool = resources.enter_context(ThreadPoolExecutor(settings.threads, thread_name_prefix="decode"))
    return ClassifyMedia(
        objects, predictor, pool=pool, producer=f"inference/{__version__}", max_pixels=settings.max_pixels
    )


def main() -> None:
    """Console script `varanger-inference`."""
    run_process("inference", build)


if __name__ == "__main__":
    main()
