"""`create_app`: what the gateway is made of, in the order a request meets it."""

import tempfile
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from varanger.api import __version__
from varanger.api.domain.access import KeyLimits
from varanger.api.gateway import intake, openapi, pages
from varanger.api.gateway.bodies import Bodies
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.endpoints import (
    dead_letters,
    deployments,
    events,
    exports,
    health,
    jobs,
    media,
    projects,
    qc,
    quarantine,
    releases,
    reviews,
    training,
    upload_by_digest,
    upload_form,
    upload_presigned,
    upload_tus,
)
from varanger.api.gateway.idempotency import Repeats, install_replay
from varanger.api.gateway.limits import Limits, Metered
from varanger.api.gateway.problems import install_problem_handlers
from varanger.api.gateway.spool import remove_left_overs
from varanger.api.gateway.tus_protocol import Tus
from varanger.common.catalog import Catalog
from varanger.common.ports.bus import Bus
from varanger.common.ports.objects import ObjectStore
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Health, Progress

ROUTERS = (
    projects.router,
    deployments.router,
    upload_form.router,
    upload_presigned.router,
    upload_tus.router,
    upload_by_digest.router,
    media.router,
    quarantine.router,
    events.router,
    reviews.router,
    qc.router,
    training.router,
    releases.router,
    exports.router,
    jobs.router,
    dead_letters.router,
    health.router,
    pages.router,
)


def create_app(
    settings: Settings,
    catalog: Catalog,
    objects: ObjectStore,
    bus: Bus,
    *,
    local_reader: bool = False,
    spool_folder: Path | None = None,
) -> FastAPI:
    """The gateway over ports that are open already; whoever opened them closes them.

    Args:
        settings: limits and time-outs.
        catalog: at the revision this code knows.
        objects: where the bytes go.
        bus: for readiness alone; the gateway publishes nothing itself, the relay does.
        local_reader: let a person on this very machine look without a key (`security.py`); the embedded mode does.
        spool_folder: where uploads are spooled; None: the system's temporary folder (`TMPDIR`).
    """
    remove_left_overs(spool_folder or Path(tempfile.gettempdir()))
    app = _routes()
    progress = Progress(settings.stall_after_s)
    ready = Health("api", progress, {"catalog": catalog.ping, "objects": objects.ping, "bus": bus.ping})
    ready.started = True
    app.state.gateway = Gateway(settings, catalog, objects, bus, progress, ready, local_reader, spool_folder)
    app.state.backlog = intake.Backlog()
    app.state.limits = Limits(KeyLimits(settings.requests_per_minute, settings.bytes_per_hour))
    return app


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document, without anything open; committed as docs/schemas/openapi.json."""
    return openapi.describe(_routes())


def _routes() -> FastAPI:
    # The last added meets a request first.
    app = FastAPI(title="Varanger", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Repeats, streams=intake.streams)
    app.add_middleware(Tus)
    app.add_middleware(Metered)
    app.add_middleware(Bodies, streams=intake.streams)
    install_problem_handlers(app)
    install_replay(app)
    for router in ROUTERS:
        app.include_router(router)
    pages.install_static(app)
    return app
