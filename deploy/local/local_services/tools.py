"""Programs that the tests run themselves, apart from any service."""

from __future__ import annotations

import shutil

from local_services import debian
from local_services.processes import ServiceError

TOOLS = {"exiftool": "libimage-exiftool-perl", "ps": "procps"}
"""Program -> Debian package. ExifTool reads the cameras' maker notes: what ingest says is held against it."""


def provide() -> str | None:
    """Install the programs that are missing, where that is allowed; one sentence when one cannot be had."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    packages = [TOOLS[name] for name in missing]
    if missing and debian.can_install():
        print(f"installing {' '.join(packages)} ...", flush=True)
        try:
            debian.install(packages)
        except ServiceError as error:
            return f"{' and '.join(missing)} could not be installed: {error}"
    left = [name for name in missing if shutil.which(name) is None]
    if left:
        return f"{' and '.join(left)} cannot be had here: install {' '.join(packages)} (Debian, as root) and repeat."
    return None
