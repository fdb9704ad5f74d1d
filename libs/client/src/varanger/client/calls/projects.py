"""Projects and deployments."""

from typing import Any

from varanger.client.call import Call, get, get_list, send, url
from varanger.client.models.projects import Deployment, Project
from varanger.client.reading import to_json


def projects() -> Call[tuple[Project, ...]]:
    """The projects that the key reaches."""
    return get_list(url("v1", "projects"), Project)


def project(project: str) -> Call[Project]:
    """One project."""
    return get(url("v1", "projects", project), Project)


def create_project(project: str, title: str = "") -> Call[Project]:
    """Make a project; 409 where it exists."""
    return send("POST", url("v1", "projects"), {"project_id": project, "title": title}, Project)


def deployments(project: str) -> Call[tuple[Deployment, ...]]:
    """The project's deployments, by location."""
    return get_list(url("v1", "projects", project, "deployments"), Deployment)


def deployment(project: str, deployment: str) -> Call[Deployment]:
    """One deployment."""
    return get(_of(project, deployment), Deployment)


def put_deployment(project: str, deployment: str, **fields: Any) -> Call[Deployment]:
    """Make or replace a deployment; fields as `Deployment` has them."""
    return send("PUT", _of(project, deployment), to_json(fields), Deployment)


def patch_deployment(project: str, deployment: str, **fields: Any) -> Call[Deployment]:
    """Change single fields of a deployment, as `clock_correction=Offset(3600)`; None empties one."""
    return send("PATCH", _of(project, deployment), to_json(fields), Deployment)


def _of(project: str, deployment: str) -> str:
    return url("v1", "projects", project, "deployments", deployment)
