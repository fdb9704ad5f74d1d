"""The scripts under deploy/ are no packages: they are put on the path as they are when they run."""

import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
sys.path.insert(0, str(DEPLOY / "local"))
