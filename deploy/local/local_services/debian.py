"""Install packages on Debian and its children, as root, without a question asked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from local_services.processes import ServiceError, run


def can_install() -> bool:
    """Whether packages can be installed here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Sequence[str]) -> None:
    """Install packages and what they need, nothing more.

    Raises:
        ServiceError: apt-get failed; the text carries the end of its output.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
    try:
        run([*apt, "update"], env=environment)
    except ServiceError as error:
        # One unreachable extra source must not matter while Debian's own answers.
        print(f"  apt-get update was not happy; going on with the lists at hand.\n{error}", flush=True)
    run([*apt, "install", "--no-install-recommends", *packages], env=environment)
