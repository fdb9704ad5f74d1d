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
    """For a duplicate that of the file that was there first."""
    sha256: str | None
    """Of the file here; the gateway's is the same. None where the file could not be read."""
    reason: str
    """Why it is not `accepted`."""
    repeated: bool = False
    """It took more than one try. A `duplicate` may then be this very file, whose first answer was lost on the way."""
