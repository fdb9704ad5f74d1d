"""What the endpoints work with, made once by `create_app` and found on `request.app.state.gateway`."""

from dataclasses import dataclass
from pathlib import Path

from varanger.common.catalog import Catalog
from varanger.common.ports.bus import Bus
from varanger.common.ports.objects import ObjectStore
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Health, Progress


@dataclass(frozen=True)
class Gateway:
    """Settings, the three ports, and what liveness looks at."""

    settings: Settings
    catalog: Catalog
    objects: ObjectStore
    bus: Bus
    progress: Progress
    health: Health
    local_reader: bool
    spool_folder: Path | None = None
    """Where uploads are spooled; None: the system's temporary folder (`TMPDIR`)."""
