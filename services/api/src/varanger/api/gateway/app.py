"""`create_app`: what the gateway is made of, in the order a request meets it."""

from pathlib import Path

from fastapi import FastAPI
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.endpoints import uploads
from varanger.api.gateway.problems import install_problem_handlers
from varanger.common.catalog import Catalog
from varanger.common.ports.bus import Bus
from varanger.common.ports.objects import ObjectStore
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Health, Progress


def create_app(
    settings: Settings,
    catalog: Catalog,
    objects: ObjectStore,
    bus: Bus,
    *,
    local_reader: bool = False,
    spool_folder: Path | None = None,
) -> FastAPI:
    """The gateway over ports that are open already; whoever opened them closes them."""
    app = FastAPI(title="Varanger", docs_url=None, redoc_url=None)
    progress = Progress(settings.stall_after_s)
    health = Health("api", progress, {"catalog": catalog.ping, "objects": objects.ping, "bus": bus.ping})
    health.started = True
    app.state.gateway = Gateway(settings, catalog, objects, bus, progress, health, local_reader, spool_folder)
    app.state.backlog = uploads.Backlog()
    install_problem_handlers(app)
    app.include_router(uploads.router)
    return app
