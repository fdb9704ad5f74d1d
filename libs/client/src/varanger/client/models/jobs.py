"""Jobs and dead letters."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something long that was asked for. It always ends: `done`, `failed` or `cancelled`."""

    job_id: str
    project_id: str
    kind: str
    owner: str
    state: str
    spec: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    progress: float = 0.0
    message: str = ""
    result: dict[str, Any] | None = None
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message with the reason why nobody could handle it. `body` is its text, broken as it may be."""

    dead_letter_id: str
    project_id: str
    queue: str
    type: str
    media_id: str | None = None
    reason: str
    died_at: datetime
    headers: dict[str, Any] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True)
class Replayed:
    """How many dead letters were sent again."""

    replayed: int
