"""Training runs: asked for here, done by the trainer."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import Field

from varanger.api.adapters import job_rows
from varanger.api.application.request_job import request_training
from varanger.api.gateway.endpoints.jobs import existing_job
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.inputs import Input
from varanger.api.gateway.job_views import JobOut, job_out
from varanger.api.gateway.security import Admin, CallerDep, GatewayDep, Reader
from varanger.common.telemetry.trace import continue_trace
from varanger.common.words import JobKind

router = APIRouter(prefix="/v1", tags=["training"])


class TrainingIn(Input):
    """A training specification, as `varanger train` takes it; one that cannot be followed fails with the field."""

    spec: dict[str, Any] = Field(min_length=1)


@router.post("/projects/{project}/training-runs", status_code=202)
async def request_run(
    request: Request, response: Response, gateway: GatewayDep, _: Admin, project: str, wanted: TrainingIn
) -> JobOut:
    """Ask for a run. Follow it at `Location`; the release it makes appears among the project's."""
    async with gateway.catalog.writing() as session:
        await existing_project(session, project)
        trace = continue_trace(request.headers.get("traceparent"))
        job = request_training(session, project, wanted.spec, traceparent=trace)
    response.headers["Location"] = f"/v1/training-runs/{job.job_id}"
    return job_out(job)


@router.get("/projects/{project}/training-runs")
async def list_runs(gateway: GatewayDep, _: Reader, project: str) -> list[JobOut]:
    """The project's runs, newest first."""
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)
        return [job_out(row) for row in await job_rows.list_jobs(session, project, kind=JobKind.TRAINING_RUN)]


@router.get("/training-runs/{run_id}")
async def get_run(gateway: GatewayDep, caller: CallerDep, run_id: UUID) -> JobOut:
    """One run."""
    async with gateway.catalog.reading() as session:
        return job_out(await existing_job(session, run_id, caller, kind=JobKind.TRAINING_RUN))
