"""Releases: what may answer, what does, and the change from one to another."""

from typing import Any

from fastapi import APIRouter

from varanger.api.adapters import job_rows
from varanger.api.application.promote_release import PromotionRefused, promote, rollback
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.inputs import Input
from varanger.api.gateway.job_views import (
    PromotionOut,
    ReleaseOut,
    WholeRelease,
    promotion_out,
    release_out,
    whole_release,
)
from varanger.api.gateway.problems import Problem, not_found
from varanger.api.gateway.security import Admin, GatewayDep, Reader
from varanger.common.words import ReleaseId

router = APIRouter(prefix="/v1/projects/{project}", tags=["releases"])

CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"description": "Another release is in force; `current` names it (null: none)"}
}


class Expected(Input):
    """Which release the caller believes to be in force (null: none). Without it nobody's change gets lost."""

    expected_current: ReleaseId | None


@router.get("/releases")
async def list_releases(gateway: GatewayDep, _: Reader, project: str) -> list[ReleaseOut]:
    """The project's releases, newest first."""
    async with gateway.catalog.reading() as session:
        in_force = (await existing_project(session, project)).release_id
        return [release_out(row, in_force) for row in await job_rows.list_releases(session, project)]


@router.get("/releases/{release_id}")
async def get_release(gateway: GatewayDep, _: Reader, project: str, release_id: str) -> WholeRelease:
    """One release with its manifest."""
    async with gateway.catalog.reading() as session:
        in_force = (await existing_project(session, project)).release_id
        row = await job_rows.find_release(session, project, release_id)
    if row is None:
        raise not_found(f"release in project {project!r} called", release_id)
    return whole_release(row, in_force)


@router.get("/promotions")
async def list_promotions(gateway: GatewayDep, _: Reader, project: str) -> list[PromotionOut]:
    """What was put in force instead of what, newest first."""
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)
        return [promotion_out(row) for row in await job_rows.list_promotions(session, project)]


@router.post("/releases/{release_id}/promote", responses=CONFLICT)
async def promote_release(
    gateway: GatewayDep, caller: Admin, project: str, release_id: ReleaseId, expected: Expected
) -> PromotionOut:
    """Put a release in force, if the one in force still is the expected one."""
    async with gateway.catalog.writing() as session:
        await existing_project(session, project)
        if await job_rows.find_release(session, project, release_id) is None:
            raise not_found(f"release in project {project!r} called", release_id)
        try:
            row = await promote(session, project, release_id, expected=expected.expected_current, by=caller.name)
        except PromotionRefused as error:
            raise Problem(409, str(error), current=error.current) from error
    return promotion_out(row)


@router.post("/releases/rollback", responses=CONFLICT)
async def rollback_release(gateway: GatewayDep, caller: Admin, project: str, expected: Expected) -> PromotionOut:
    """Put back in force what the one in force replaced."""
    async with gateway.catalog.writing() as session:
        in_force = (await existing_project(session, project)).release_id
        try:
            row = await rollback(session, project, expected=expected.expected_current, by=caller.name)
        except PromotionRefused as error:
            raise Problem(409, str(error), current=in_force) from error
    return promotion_out(row)
