"""Queries on projects and deployments."""

from sqlalchemy import select
from sqlmodel import col

from varanger.common.catalog.database import ReadSession
from varanger.common.catalog.tables import Deployment, DeploymentHistory, Project


async def find_project(session: ReadSession, project_id: str) -> Project | None:
    """The project, or None."""
    return await session.get(Project, project_id)


async def list_projects(session: ReadSession) -> list[Project]:
    """All of them, by name."""
    return list((await session.execute(select(Project).order_by(col(Project.project_id)))).scalars())


async def find(session: ReadSession, project_id: str, deployment_id: str) -> Deployment | None:
    """The deployment, or None."""
    return await session.get(Deployment, (project_id, deployment_id))


async def list_deployments(session: ReadSession, project_id: str) -> list[Deployment]:
    """The project's deployments, by location."""
    found = await session.execute(
        select(Deployment)
        .where(col(Deployment.project_id) == project_id)
        .order_by(col(Deployment.location_id), col(Deployment.deployment_id))
    )
    return list(found.scalars())


async def history(session: ReadSession, project_id: str, deployment_id: str) -> list[DeploymentHistory]:
    """What was changed of the deployment, the newest first."""
    found = await session.scalars(
        select(DeploymentHistory)
        .where(col(DeploymentHistory.project_id) == project_id, col(DeploymentHistory.deployment_id) == deployment_id)
        .order_by(col(DeploymentHistory.history_id).desc())
    )
    return list(found)
