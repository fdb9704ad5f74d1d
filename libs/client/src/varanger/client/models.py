"""What calls give back that is more than plain JSON."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OnProgress = Callable[[int, int], None]
"""Called with files done and files in all."""

Json = dict[str, Any]
"""A JSON object, as docs/schemas/openapi.json describes it."""


@dataclass(frozen=True)
class Verdict:
    """What became of one file."""

    file: str
    """Its path as it was sent: relative to the folder, `/` between parts."""
    verdict: str
    """`accepted`, `duplicate` or `rejected`."""
    media_id: str | None
    sha256: str
    reason: str | None
