"""Projects: what keys, deployments and releases belong to."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from varanger.api.adapters import deployment_rows
from varanger.api.domain.access import Scope
from varanger.api.gateway.inputs import Input
from varanger.api.gateway.problems import Problem, not_found
from varanger.api.gateway.security import CallerDep, GatewayDep, Reader, check
from varanger.common.catalog.database import ReadSession
from varanger.common.catalog.tables import Project
from varanger.common.words import ProjectId

router = APIRouter(prefix="/v1/projects", tags=["projects"])


class ProjectIn(Input):
    """A new project."""

    project_id: ProjectId
    title: str = ""


class ProjectOut(BaseModel):
    """A project, and its release in force (null: none yet, media wait)."""

    project_id: str
    title: str
    release_id: str | None
    created_at: datetime


@router.post("", status_code=201, responses={409: {"description": "There is one of this name"}})
async def create_project(
    request: Request, response: Response, gateway: GatewayDep, caller: CallerDep, project: ProjectIn
) -> ProjectOut:
    """Make a project. Needs an `admin` key for it, or for every project."""
    check(caller, Scope.ADMIN, project.project_id)
    async with gateway.catalog.writing() as session:
        if await deployment_rows.find_project(session, project.project_id) is not None:
            raise Problem(409, f"there is a project {project.project_id!r} already")
        row = Project(**project.model_dump())
        session.add(row)
    response.headers["Location"] = f"{request.url.path}/{row.project_id}"
    return project_out(row)


@router.get("")
async def list_projects(gateway: GatewayDep, caller: Reader) -> list[ProjectOut]:
    """The projects this key reaches."""
    async with gateway.catalog.reading() as session:
        rows = await deployment_rows.list_projects(session)
    return [project_out(row) for row in rows if caller.reaches(row.project_id)]


@router.get("/{project}")
async def get_project(gateway: GatewayDep, caller: Reader, project: str) -> ProjectOut:
    """One project."""
    async with gateway.catalog.reading() as session:
        return project_out(await existing_project(session, project))


async def existing_project(session: ReadSession, project_id: str) -> Project:
    """The project. Raises Problem 404."""
    found = await deployment_rows.find_project(session, project_id)
    if found is None:
        raise not_found("project", project_id)
    return found


def project_out(row: Project) -> ProjectOut:
    """As the API tells it."""
    return ProjectOut.model_validate(row, from_attributes=True)
