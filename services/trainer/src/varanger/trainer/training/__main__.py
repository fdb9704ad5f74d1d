"""One training run, its progress as JSON lines: ``python -m varanger.trainer.training <spec.json> <out dir>``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from varanger.trainer.domain.spec import parse_spec


def main(arguments: list[str]) -> int:
    """Train; standard output carries one JSON object per line: ``{"share": 0.4, "text": "…"}``.

    Returns:
        0, or 2 where specification or dataset cannot be followed; the reason is the last line of standard error.
    """
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m varanger.trainer.training <spec.json> <out dir>\n")
        return 2
    # Libraries talk on standard output too; keep it for progress alone and send their talk to standard error.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def progress(share: float, text: str) -> None:
        channel.write(json.dumps({"share": round(share, 4), "text": text}) + "\n")
        channel.flush()

    try:
        spec = parse_spec(Path(arguments[0]).read_bytes())
        from varanger.trainer.training.run import TrainingRun

        TrainingRun(spec, Path(arguments[1]), progress).run()
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error}: training needs the extra varanger-trainer[torch]\n")
        return 2
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
