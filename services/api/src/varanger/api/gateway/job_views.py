"""How the API tells of jobs, QC rounds, releases and dead letters."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from varanger.common.catalog.tables import Job, Promotion, QcRound, Release


class JobOut(BaseModel):
    """Something long that was asked for."""

    job_id: UUID
    project_id: str
    kind: str
    owner: str
    state: str
    spec: dict[str, Any]
    counts: dict[str, Any]
    progress: float
    message: str
    result: dict[str, Any] | None
    created_at: datetime
    ended_at: datetime | None


class RoundOut(BaseModel):
    """A QC round: as it was asked for, and once it is drawn its frame and its report so far."""

    round_id: UUID
    project_id: str
    state: str
    message: str
    release_id: str | None
    design: dict[str, Any]
    frame: dict[str, Any] | None
    report: dict[str, Any] | None
    counts: dict[str, Any]
    requested_at: datetime
    drawn_at: datetime | None
    estimated_at: datetime | None


class ReleaseOut(BaseModel):
    """A release that the project may put in force."""

    release_id: str
    name: str
    kind: str
    in_force: bool
    description: str
    licence: str
    run_id: UUID | None
    registered_at: datetime
    metrics: dict[str, Any]


class WholeRelease(ReleaseOut):
    """A release with its manifest."""

    manifest: dict[str, Any]


class PromotionOut(BaseModel):
    """What was put in force, instead of what."""

    promotion_id: UUID
    project_id: str
    release_id: str
    previous_release_id: str | None
    kind: str
    by: str
    promoted_at: datetime


def job_out(row: Job) -> JobOut:
    """As the API tells it."""
    return JobOut.model_validate(row, from_attributes=True)


def round_out(job: Job, drawn: QcRound | None) -> RoundOut:
    """A round from its job row and, once it is drawn, its own."""
    return RoundOut(
        round_id=job.job_id,
        project_id=job.project_id,
        state=job.state,
        message=job.message,
        release_id=job.spec.get("release_id") if drawn is None else drawn.release_id,
        design=job.spec.get("design", {}) if drawn is None else drawn.design,
        frame=None if drawn is None else drawn.frame,
        report=None if drawn is None else drawn.report,
        counts=job.counts,
        requested_at=job.created_at,
        drawn_at=None if drawn is None else drawn.drawn_at,
        estimated_at=None if drawn is None else drawn.estimated_at,
    )


def release_out(row: Release, in_force: str | None) -> ReleaseOut:
    """As a list shows it."""
    return ReleaseOut(**_release(row, in_force))


def whole_release(row: Release, in_force: str | None) -> WholeRelease:
    """As its own page shows it."""
    return WholeRelease(**_release(row, in_force), manifest=row.manifest)


def _release(row: Release, in_force: str | None) -> dict[str, Any]:
    return {
        "release_id": row.release_id,
        "name": row.name,
        "kind": row.kind,
        "in_force": row.release_id == in_force,
        "description": row.manifest.get("description", ""),
        "licence": row.manifest.get("licence", ""),
        "run_id": row.run_id,
        "registered_at": row.registered_at,
        "metrics": row.manifest.get("metrics", {}),
    }


def promotion_out(row: Promotion) -> PromotionOut:
    """As the API tells it."""
    return PromotionOut.model_validate(row, from_attributes=True)
