"""Rounds and their tasks."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Round:
    """A QC round: as it was asked for, and once it is drawn its frame and its report so far."""

    round_id: str
    project_id: str
    state: str
    message: str = ""
    release_id: str | None = None
    design: dict[str, Any] = field(default_factory=dict)
    frame: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    counts: dict[str, Any] = field(default_factory=dict)
    requested_at: datetime
    drawn_at: datetime | None = None
    estimated_at: datetime | None = None


@dataclass(frozen=True)
class Task:
    """One image to answer; `answered_by` tells who has."""

    media_id: str
    position: int
    deployment: str
    name: str
    width: int
    height: int
    image: str
    view: str
    answered_by: tuple[str, ...] = ()
