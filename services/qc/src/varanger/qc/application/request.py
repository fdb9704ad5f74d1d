"""What a round's job asks for: `spec` of the job row, as the gateway wrote it."""

from typing import Any
from uuid import UUID

from pydantic import ValidationError

from varanger.common.words import Frozen, ReleaseId
from varanger.qc.domain.design import LARGEST_SEED, RoundDesign


class RoundRequest(Frozen):
    """A design to draw by, of one release's answers (else of the release in force)."""

    design: RoundDesign
    release_id: ReleaseId | None = None


def read_request(spec: dict[str, Any], round_id: UUID) -> RoundRequest:
    """`{"design": {…}, "release_id": …}`, all optional. A seed not given follows from the round's id and is stored.

    Raises:
        ValueError: with the field and what is wrong with it.
    """
    design = {"seed": round_id.int & LARGEST_SEED, **(spec.get("design") or {})}
    try:
        return RoundRequest.model_validate({**spec, "design": design})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
