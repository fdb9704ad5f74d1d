"""Dead letters: messages nobody could handle, and sending them again."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from varanger.api.application.dead_letters import open_dead_letters, replay
from varanger.api.domain.access import EVERY_PROJECT
from varanger.api.gateway.inputs import Input
from varanger.api.gateway.security import Admin, GatewayDep, Reader

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])


class DeadLetterOut(BaseModel):
    """A message with the reason why nobody could handle it. `body` is its text, broken as it may be."""

    dead_letter_id: UUID
    project_id: str
    queue: str
    type: str
    media_id: UUID | None
    reason: str
    died_at: datetime
    headers: dict[str, Any]
    body: str


class ReplayIn(Input):
    """Which to send again."""

    dead_letter_ids: list[UUID] = Field(min_length=1, max_length=1000)


class ReplayOut(BaseModel):
    """How many were sent; one that was sent again before is left alone."""

    replayed: int


@router.get("")
async def list_dead_letters(
    gateway: GatewayDep, caller: Reader, *, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[DeadLetterOut]:
    """Those not sent again, oldest first; a project's key sees its project's alone."""
    bound = None if caller.project_id == EVERY_PROJECT else caller.project_id
    rows = await open_dead_letters(gateway.catalog, bound, limit)
    return [DeadLetterOut(**row.model_dump(exclude={"body"}), body=row.body.decode("utf-8", "replace")) for row in rows]


@router.post("/replay")
async def replay_dead_letters(gateway: GatewayDep, caller: Admin, wanted: ReplayIn) -> ReplayOut:
    """Send them to the queues they died in again; their media return to `pending`."""
    chosen = wanted.dead_letter_ids
    if caller.project_id != EVERY_PROJECT:
        own = {row.dead_letter_id for row in await open_dead_letters(gateway.catalog, caller.project_id, 100_000)}
        chosen = [each for each in chosen if each in own]
    return ReplayOut(replayed=await replay(gateway.catalog, chosen, by=caller.name))
