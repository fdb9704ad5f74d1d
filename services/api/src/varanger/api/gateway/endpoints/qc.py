"""QC rounds: ask for one, follow it, get its tasks. The machine's answer is never among them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from varanger.api.adapters import job_rows
from varanger.api.application.request_job import request_qc_round
from varanger.api.domain.access import Caller, Scope
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.inputs import Input
from varanger.api.gateway.job_views import RoundOut, round_out
from varanger.api.gateway.problems import not_found
from varanger.api.gateway.security import CallerDep, GatewayDep, Reader, Reviewer, check
from varanger.common.catalog.database import ReadSession
from varanger.common.catalog.tables import Job
from varanger.common.telemetry.trace import continue_trace
from varanger.common.words import JobKind, ReleaseId

router = APIRouter(prefix="/v1", tags=["quality check"])


class RoundIn(Input):
    """What to draw. Everything may be left out: the paper's design, of the release in force, with a fresh seed."""

    design: dict[str, Any] = Field(
        default_factory=dict,
        description="`seed`, `overall`, `per_class`, `per_bin`, `bin_edges`, `camera_setups`, `classes`, … "
        "(docs/glossary.md, *round*); a design that cannot be drawn fails the round with the reason",
    )
    release_id: ReleaseId | None = None


class TaskOut(BaseModel):
    """One image to answer."""

    media_id: UUID
    position: int
    deployment: str
    name: str
    width: int
    height: int
    image: str
    view: str
    answered_by: list[str]
    """Who has answered it in this round."""


class TaskPage(BaseModel):
    """Some tasks, in the order of review; `next` is the cursor of the page after, null on the last."""

    items: list[TaskOut]
    next: int | None


@router.post("/projects/{project}/qc/rounds", status_code=202)
async def request_round(
    request: Request, response: Response, gateway: GatewayDep, _: Reviewer, project: str, wanted: RoundIn
) -> RoundOut:
    """Ask for a round. It is drawn by the qc service; follow it at `Location`."""
    async with gateway.catalog.writing() as session:
        in_force = (await existing_project(session, project)).release_id
        if wanted.release_id is not None and await job_rows.find_release(session, project, wanted.release_id) is None:
            raise not_found(f"release in project {project!r} called", wanted.release_id)
        job = request_qc_round(
            session,
            project,
            wanted.design,
            release_id=wanted.release_id or in_force,
            traceparent=continue_trace(request.headers.get("traceparent")),
        )
    response.headers["Location"] = f"/v1/qc/rounds/{job.job_id}"
    return round_out(job, None)


@router.get("/projects/{project}/qc/rounds")
async def list_rounds(gateway: GatewayDep, _: Reader, project: str) -> list[RoundOut]:
    """The project's rounds, newest first."""
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)
        jobs = await job_rows.list_jobs(session, project, kind=JobKind.QC_ROUND)
        drawn = await job_rows.find_rounds(session, [job.job_id for job in jobs])
    return [round_out(job, drawn.get(job.job_id)) for job in jobs]


@router.get("/qc/rounds/{round_id}")
async def get_round(gateway: GatewayDep, caller: CallerDep, round_id: UUID) -> RoundOut:
    """One round, with its report over what has been reviewed so far."""
    async with gateway.catalog.reading() as session:
        job = await _existing_round(session, round_id, caller, Scope.READ)
        drawn = await job_rows.find_rounds(session, [round_id])
    return round_out(job, drawn.get(round_id))


@router.get("/qc/rounds/{round_id}/tasks")
async def list_tasks(
    gateway: GatewayDep,
    caller: CallerDep,
    round_id: UUID,
    *,
    observer: Annotated[str | None, Query(description="only what this person has not answered yet")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[int | None, Query(description="`next` of the page before")] = None,
) -> TaskPage:
    """Images to answer, in random order, so that a half-done round is still a sample."""
    async with gateway.catalog.reading() as session:
        await _existing_round(session, round_id, caller, Scope.REVIEW)
        found = await job_rows.tasks_of_round(session, round_id, limit=limit + 1, after=cursor)
    shown = found[:limit]
    items = [_task_out(task) for task in shown if observer is None or observer not in task.observers]
    return TaskPage(items=items, next=shown[-1].position if len(found) > limit else None)


async def _existing_round(session: ReadSession, round_id: UUID, caller: Caller, scope: Scope) -> Job:
    job = await job_rows.find_job(session, round_id)
    if job is None or job.kind != JobKind.QC_ROUND or not caller.reaches(job.project_id):
        raise not_found("QC round", round_id)
    check(caller, scope, job.project_id)
    return job


def _task_out(task: job_rows.OpenTask) -> TaskOut:
    media = task.media
    return TaskOut(
        media_id=media.media_id,
        position=task.position,
        deployment=media.deployment_id,
        name=media.name,
        width=media.width,
        height=media.height,
        image=f"/v1/media/{media.media_id}/image",
        view=f"/v1/media/{media.media_id}/view",
        answered_by=list(task.observers),
    )
