"""The trainer process: takes requests for training runs, and follows them one at a time."""

from __future__ import annotations

import os
import socket
from importlib.metadata import PackageNotFoundError, version

from varanger.common.adapters.training_subprocess import SubprocessTraining
from varanger.common.catalog.opening import wired_catalog
from varanger.common.consumer import Consumer
from varanger.common.process import Loop, Service, Wiring, run_process
from varanger.common.telemetry.health import Progress
from varanger.common.topology import TRAINER
from varanger.trainer.application.job_lease import OWNER, JobLease
from varanger.trainer.application.run_training import TrainingWorker

LEASE_S = 60.0
POLL_S = 2.0


async def build(wiring: Wiring) -> Service:
    """Wire the trainer."""
    settings = wiring.settings
    bus, objects, catalog = await wiring.bus(), await wiring.objects(), await wired_catalog(wiring)
    progress = Progress(settings.stall_after_s)
    jobs = JobLease(catalog, holder=f"{socket.gethostname()}/{os.getpid()}", lease_s=LEASE_S)
    worker = TrainingWorker(
        jobs,
        SubprocessTraining(),
        objects,
        folder=settings.training_folder,
        producer=f"{OWNER}/{_version()}",
        stop=wiring.stop,
    )
    return Service(
        name=OWNER,
        progress=progress,
        checks={"bus": bus.ping, "objects": objects.ping, "catalog": catalog.ping},
        consumers=[
            Consumer(OWNER, bus, [TRAINER], worker.on_requested, progress, retry_delays_s=settings.retry_delays_s)
        ],
        loops=[Loop("trainer.runs", worker.step, every_s=POLL_S)],
    )


def _version() -> str:
    try:
        return version("varanger-trainer")
    except PackageNotFoundError:
        return "source"


def main() -> None:
    """Run until SIGTERM."""
    run_process(OWNER, build)


if __name__ == "__main__":
    main()
