"""The ingest process: takes `media.uploaded.v1`, live before bulk, and makes of each file media or quarantine."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import structlog

from varanger.common import topology
from varanger.common.consumer import Consumer
from varanger.common.ports.objects import ObjectStore
from varanger.common.process import Service, Wiring, run_process
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Progress
from varanger.ingest.adapters import open_metadata_reader
from varanger.ingest.adapters.workbench import open_workbench
from varanger.ingest.application.examine import Examiner
from varanger.ingest.application.ingest_media import IngestMedia

_log = structlog.get_logger()

FETCH_AHEAD = 2
"""Files in hand per decoding thread: one is decoded while the other is fetched or stored."""


async def build(wiring: Wiring) -> Service:
    """The service: one handler on both lanes."""
    settings = wiring.settings
    bus, objects = await wiring.bus(), await wiring.objects()
    resources = wiring.stack.enter_context(ExitStack())
    progress = Progress(settings.stall_after_s)
    consumer = Consumer(
        "ingest",
        bus,
        topology.INGEST,
        build_ingest(settings, objects, resources, progress),
        progress,
        batch=1,
        prefetch=settings.prefetch,
        concurrency=settings.threads * FETCH_AHEAD,
        retry_delays_s=settings.retry_delays_s,
    )
    return Service("ingest", progress, checks={"bus": bus.ping, "objects": objects.ping}, consumers=[consumer])


def build_ingest(settings: Settings, objects: ObjectStore, resources: ExitStack, progress: Progress) -> IngestMedia:
    """The handler, with its threads, its metadata reader and its workbench, which end with `resources`."""
    workbench = resources.enter_context(open_workbench())
    reader = open_metadata_reader(threads=settings.threads)
    _log.info("ingest.metadata_reader", reader=reader.name)
    examiner = resources.enter_context(closing(Examiner(reader, settings, workbench)))
    pool = resources.enter_context(ThreadPoolExecutor(settings.threads, thread_name_prefix="ingest"))
    return IngestMedia(objects, examiner, pool=pool, workbench=workbench, progress=progress)


def main() -> None:
    """Console script `varanger-ingest`."""
    run_process("ingest", build)


if __name__ == "__main__":
    main()
