"""Deployments (Camtrap DP): one camera at one location for a period."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from varanger.api.adapters import deployment_rows
from varanger.api.application.change_deployment import change_deployment
from varanger.api.domain.clock_correction import ClockCorrection, ZoneName
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.inputs import Input
from varanger.api.gateway.problems import Problem, invalid, not_found
from varanger.api.gateway.security import Admin, GatewayDep, Reader
from varanger.common.catalog.tables import Deployment
from varanger.common.clock import UtcTime
from varanger.common.words import DeploymentId

router = APIRouter(prefix="/v1/projects/{project}/deployments", tags=["deployments"])

_OFFSET_MISSING = "say the offset too, as in 2026-06-01T10:00:00+02:00"


def _with_offset(value: Any) -> Any:
    if isinstance(value, str):
        try:
            if datetime.fromisoformat(value).tzinfo is None:
                raise ValueError(_OFFSET_MISSING)
        except ValueError as error:
            if str(error) == _OFFSET_MISSING:
                raise
    return value


class BlindPeriod(Input):
    """A time when the camera stood there but did not see (covered in snow, fallen over)."""

    start: UtcTime
    end: UtcTime
    reason: str = ""

    _says_its_offset = field_validator("start", "end", mode="before")(_with_offset)

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "BlindPeriod":
        if self.end <= self.start:
            raise ValueError("end must be later than start")
        return self


class DeploymentFields(Input):
    """What is known of a deployment; only `location_id` must be."""

    location_id: str = Field(min_length=1, max_length=200)
    location_name: str | None = None
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    camera_id: str | None = None
    camera_model: str | None = None
    camera_setup: str = Field(default="default", min_length=1)
    habitat: str | None = None
    start: UtcTime | None = None
    end: UtcTime | None = None
    blind_periods: list[BlindPeriod] = Field(default_factory=list)
    time_zone: ZoneName = "Etc/UTC"
    """IANA name: the zone of the place, which a clock that is right shows."""
    clock_correction: ClockCorrection | None = None
    """What was wrong with the camera's clock; null: nothing."""
    event_gap_s: float = Field(default=60.0, ge=0, le=86_400)
    """Images of cameras that number no triggers are one event while no gap between two of them is longer."""

    _say_their_offset = field_validator("start", "end", mode="before")(_with_offset)

    @model_validator(mode="after")
    def _holds_together(self) -> "DeploymentFields":
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude: give both or neither")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("end must be later than start")
        return self


class DeploymentIn(DeploymentFields):
    """A new deployment with its name."""

    deployment_id: DeploymentId


class DeploymentChange(DeploymentFields):
    """What to change: the fields that are given; null empties one."""

    location_id: str = Field(default="", min_length=1, max_length=200)

    @model_validator(mode="after")
    def _holds_together(self) -> "DeploymentChange":
        return self  # told of the whole deployment, once these fields are in it


class DeploymentOut(BaseModel):
    """A deployment. `applied`: every recorded media's times and events follow what is known of it now."""

    project_id: str
    deployment_id: str
    location_id: str
    location_name: str | None
    latitude: float | None
    longitude: float | None
    camera_id: str | None
    camera_model: str | None
    camera_setup: str
    habitat: str | None
    start: datetime | None
    end: datetime | None
    blind_periods: list[dict[str, Any]]
    time_zone: str
    clock_correction: dict[str, Any] | None
    event_gap_s: float
    revision: int
    applied: bool
    created_at: datetime


class DeploymentChangeOut(BaseModel):
    """One change: who made it, and what was there before and after."""

    at: datetime
    by: str
    revision: int
    before: dict[str, Any]
    after: dict[str, Any]


@router.post("", status_code=201, responses={409: {"description": "There is one of this name"}})
async def create_deployment(
    request: Request, response: Response, gateway: GatewayDep, _: Admin, project: str, deployment: DeploymentIn
) -> DeploymentOut:
    """Make a deployment."""
    async with gateway.catalog.writing() as session:
        await existing_project(session, project)
        if await deployment_rows.find(session, project, deployment.deployment_id) is not None:
            raise Problem(409, f"there is a deployment {deployment.deployment_id!r} already; PUT changes it")
        row = Deployment(project_id=project, deployment_id=deployment.deployment_id, **_columns(deployment))
        session.add(row)
    response.headers["Location"] = f"{request.url.path}/{row.deployment_id}"
    return deployment_out(row)


@router.put("/{deployment}", responses={201: {"model": DeploymentOut, "description": "It was new"}})
async def put_deployment(
    response: Response,
    gateway: GatewayDep,
    caller: Admin,
    *,
    project: str,
    deployment: DeploymentId,
    fields: DeploymentFields,
) -> DeploymentOut:
    """Make or change a deployment. Times and events of its recorded media follow (`applied`); names and files stay."""
    async with gateway.catalog.writing() as session:
        await existing_project(session, project)
        row = await change_deployment(session, project, deployment, _columns(fields), by=caller.name)
        if row is None:
            row = Deployment(project_id=project, deployment_id=deployment, **_columns(fields))
            session.add(row)
            response.status_code = 201
    return deployment_out(row)


@router.patch("/{deployment}")
async def patch_deployment(
    gateway: GatewayDep, caller: Admin, project: str, deployment: str, change: DeploymentChange
) -> DeploymentOut:
    """Change some fields. Times and events of its recorded media follow (`applied`); names and files stay."""
    async with gateway.catalog.writing() as session:
        row = await deployment_rows.find(session, project, deployment)
        if row is None:
            raise not_found(f"deployment in project {project!r} called", deployment)
        given = change.model_dump(include=change.model_fields_set)
        try:
            whole = DeploymentFields.model_validate(_fields(row) | given)
        except ValidationError as error:
            raise invalid(error.errors()) from error
        columns = {_COLUMN_OF.get(name, name) for name in given}
        wanted = {name: value for name, value in _columns(whole).items() if name in columns}
        row = await change_deployment(session, project, deployment, wanted, by=caller.name) or row
    return deployment_out(row)


@router.get("")
async def list_deployments(gateway: GatewayDep, _: Reader, project: str) -> list[DeploymentOut]:
    """The project's deployments, by location."""
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)
        return [deployment_out(row) for row in await deployment_rows.list_deployments(session, project)]


@router.get("/{deployment}")
async def get_deployment(gateway: GatewayDep, _: Reader, project: str, deployment: str) -> DeploymentOut:
    """One deployment."""
    async with gateway.catalog.reading() as session:
        row = await deployment_rows.find(session, project, deployment)
    if row is None:
        raise not_found(f"deployment in project {project!r} called", deployment)
    return deployment_out(row)


@router.get("/{deployment}/history")
async def get_deployment_history(
    gateway: GatewayDep, _: Reader, project: str, deployment: str
) -> list[DeploymentChangeOut]:
    """Who changed what of it, the newest first."""
    async with gateway.catalog.reading() as session:
        if await deployment_rows.find(session, project, deployment) is None:
            raise not_found(f"deployment in project {project!r} called", deployment)
        rows = await deployment_rows.history(session, project, deployment)
    return [DeploymentChangeOut.model_validate(row, from_attributes=True) for row in rows]


def deployment_out(row: Deployment) -> DeploymentOut:
    """As the API tells it."""
    return DeploymentOut.model_validate(
        row.model_dump()
        | {
            "start": row.deployment_start,
            "end": row.deployment_end,
            "applied": row.applied_revision == row.revision,
        }
    )


_COLUMN_OF = {"start": "deployment_start", "end": "deployment_end"}


def _columns(fields: DeploymentFields) -> dict[str, Any]:
    columns = fields.model_dump(exclude={"deployment_id", "start", "end", "blind_periods"})
    columns["clock_correction"] = fields.clock_correction and fields.clock_correction.model_dump(mode="json")
    blind = [period.model_dump(mode="json") for period in fields.blind_periods]
    return columns | {"deployment_start": fields.start, "deployment_end": fields.end, "blind_periods": blind}


def _fields(row: Deployment) -> dict[str, Any]:
    return {name: getattr(row, _COLUMN_OF.get(name, name)) for name in DeploymentFields.model_fields}
