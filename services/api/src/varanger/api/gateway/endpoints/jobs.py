"""Jobs: everything long that was asked for, in one list."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from varanger.api.adapters import job_rows
from varanger.api.domain.access import Caller, Scope
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.job_views import JobOut, job_out
from varanger.api.gateway.problems import not_found
from varanger.api.gateway.security import CallerDep, GatewayDep, Reader, check
from varanger.common.catalog.database import ReadSession
from varanger.common.catalog.tables import Job
from varanger.common.words import JobKind, JobState

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.get("/projects/{project}/jobs")
async def list_jobs(
    gateway: GatewayDep,
    _: Reader,
    project: str,
    *,
    kind: Annotated[JobKind | None, Query()] = None,
    state: Annotated[JobState | None, Query()] = None,
) -> list[JobOut]:
    """The project's newest jobs (500 at most)."""
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)
        return [job_out(row) for row in await job_rows.list_jobs(session, project, kind=kind, state=state)]


@router.get("/jobs/{job_id}")
async def get_job(gateway: GatewayDep, caller: CallerDep, job_id: UUID) -> JobOut:
    """One job."""
    async with gateway.catalog.reading() as session:
        return job_out(await existing_job(session, job_id, caller))


async def existing_job(session: ReadSession, job_id: UUID, caller: Caller, *, kind: JobKind | None = None) -> Job:
    """The job, if the key reaches its project. Raises Problem 404."""
    check(caller, Scope.READ, None)
    job = await job_rows.find_job(session, job_id)
    if job is None or (kind is not None and job.kind != kind) or not caller.reaches(job.project_id):
        raise not_found("job" if kind is None else kind.replace("_", " "), job_id)
    return job
