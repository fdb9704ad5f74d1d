#!/usr/bin/env python3
"""Write constraints.txt (everything but torch) and constraints-torch.txt: exact versions for the project's own
environments, on every platform and Python the project runs on. Needs uv: `make lock`."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH_ONLY = {"torch", "torchvision", "ultralytics"}
"""These pull torch, whose build differs by machine: they have a file of their own."""
TORCH_PINS = ("torch==2.13.0", "torchvision==0.28.0", "ultralytics==8.4.190")


def main() -> int:
    """Resolve and write."""
    wanted = sorted(requirements())
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--no-header", "--no-annotate"]
    done = subprocess.run(
        [*command, *sys.argv[1:], "-o", str(ROOT / "constraints.txt"), "-"],
        input="\n".join(wanted),
        text=True,
        check=False,
    )
    (ROOT / "constraints-torch.txt").write_text("\n".join(TORCH_PINS) + "\n")
    return done.returncode


def requirements() -> set[str]:
    """What all packages and the development tools ask for, less our own packages and torch's."""
    found = set((ROOT / "requirements-dev.txt").read_text().split("\n")) - {""}
    for path in sorted(ROOT.glob("*/*/pyproject.toml")):
        project = tomllib.loads(path.read_text())["project"]
        found.update(project.get("dependencies", ()))
        for extra in project.get("optional-dependencies", {}).values():
            found.update(extra)
    return {one for one in found if not one.startswith("varanger") and _name(one) not in TORCH_ONLY}


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]


if __name__ == "__main__":
    sys.exit(main())
