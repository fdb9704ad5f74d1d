"""`create_app`: what the gateway is made of, in the order a request meets it."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI

from varanger.api import __version__
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
    releases,
    reviews,
    training,
    upload_form,
)
from varanger.api.gateway.problems import install_problem_handlers
from varanger.common.catalog import Catalog
from varanger.common.ports.bus import Bus
from varanger.common.ports.objects import ObjectStore
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Health, Progress

ROUTERS = (
    projects.router,
    deployments.router,
    upload_form.router,
    media.router,
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
    app = _routes()
    progress = Progress(settings.stall_after_s)
    ready = Health("api", progress, {"catalog": catalog.ping, "objects": objects.ping, "bus": bus.ping})
    ready.started = True
    app.state.gateway = Gateway(settings, catalog, objects, bus, progress, ready, local_reader, spool_folder)
    app.state.backlog = intake.Backlog()
    return app


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document, without anything open; committed as docs/schemas/openapi.json."""
    return openapi.describe(_routes())


def _routes() -> FastAPI:
    app = FastAPI(title="Varanger", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Bodies, streams=intake.streams)
    install_problem_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    pages.install_static(app)
    return app
