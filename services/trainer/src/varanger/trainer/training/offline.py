"""Load ultralytics so that it never reaches for the network, the user's settings or more cores than it was given."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def prepare_ultralytics() -> None:
    """Set the environment ultralytics reads at import, and mend torchvision beside a CPU torch.

    Call it before the first ``import ultralytics`` of the process. Variables already set are left as they are.
    """
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    os.environ.setdefault("MPLBACKEND", "agg")
    # Its settings file: not the user's own, and writable where there is no home.
    os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir()) / f"varanger-ultralytics-{os.getuid()}"))
    from varanger.trainer.training.torchvision_shim import ensure_torchvision

    ensure_torchvision()
