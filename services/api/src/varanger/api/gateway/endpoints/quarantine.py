"""The quarantine: files that are kept and are not media, why, and the way back to ingest."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from varanger.api.adapters import quarantine_rows
from varanger.api.adapters.quarantine_rows import HeldFile
from varanger.api.application.release_quarantined import DeploymentUnknown, NotQuarantined, release_quarantined
from varanger.api.domain.access import Scope
from varanger.api.gateway.endpoints.media import streamed
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.inputs import Input, SaidDate
from varanger.api.gateway.problems import Problem, not_found
from varanger.api.gateway.security import CallerDep, GatewayDep, Reader, check
from varanger.common.messages import Mend
from varanger.common.words import DeploymentId, MediaState

router = APIRouter(prefix="/v1", tags=["quarantine"])


class QuarantinedOut(BaseModel):
    """A file that is kept, and why. With `released_at` it is on its way through ingest again, with `mend`."""

    media_id: UUID
    project: str
    deployment: str
    original_name: str
    original_path: str | None
    sha256: str
    bytes: int
    reason: str
    detail: str
    quarantined_at: datetime
    released_at: datetime | None
    mend: Mend | None


class QuarantinePage(BaseModel):
    """Some files; `next` is the cursor of the page after, null on the last."""

    items: list[QuarantinedOut]
    next: UUID | None


class ReleaseIn(Input):
    """What a person says of the file. Nothing: ingest looks at it once more, as after an upgrade."""

    deployment: DeploymentId | None = None
    """The one it belongs to, where it was sent for another."""
    captured_at: SaidDate | None = None
    """The camera's own time without an offset, where the file does not say it or says it wrong."""
    accept_as_is: bool = False
    """Take it although its name says another type than its bytes."""


@router.get("/projects/{project}/quarantine")
async def get_quarantine(
    gateway: GatewayDep,
    _: Reader,
    project: str,
    *,
    reason: Annotated[str | None, Query(description="as in docs/dataflow.md")] = None,
    deployment: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[UUID | None, Query(description="`next` of the page before")] = None,
) -> QuarantinePage:
    """A page of quarantined files, in order of arrival. One that was sent back is listed until it is media."""
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)
        found = await quarantine_rows.page(
            session, project, reason=reason, deployment_id=deployment, limit=limit + 1, after=cursor
        )
    items = [_told(one) for one in found[:limit]]
    return QuarantinePage(items=items, next=items[-1].media_id if len(found) > limit else None)


async def held_file(media_id: UUID, gateway: GatewayDep, caller: CallerDep) -> HeldFile:
    """The file of the path; what nobody could look at may show people, so a reviewer's key is needed."""
    check(caller, Scope.REVIEW, None)
    async with gateway.catalog.reading() as session:
        found = await quarantine_rows.find(session, media_id)
    if found is None or not caller.reaches(found.upload.project_id):
        raise not_found("quarantined file", media_id)
    return found


HeldDep = Annotated[HeldFile, Depends(held_file)]


@router.get(
    "/quarantine/{media_id}/file",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The bytes"}},
)
async def get_quarantined_file(gateway: GatewayDep, file: HeldDep) -> StreamingResponse:
    """The file as it was sent, to look at elsewhere."""
    return await streamed(
        gateway, file.held.key, "application/octet-stream", file.upload.original_name, disposition="attachment"
    )


@router.post(
    "/quarantine/{media_id}/release",
    status_code=202,
    responses={409: {"description": "It is not quarantined (any more)"}},
)
async def release_file(gateway: GatewayDep, caller: CallerDep, file: HeldDep, said: ReleaseIn) -> QuarantinedOut:
    """Send it to ingest again, with what a person says of it. It is `pending` from then on."""
    try:
        released = await release_quarantined(
            gateway.catalog,
            file.upload.media_id,
            Mend(captured_at=said.captured_at, accept_as_is=said.accept_as_is),
            deployment_id=said.deployment,
            by=caller.name,
        )
    except NotQuarantined as error:
        raise Problem(409, f"{error}; {_WHAT_THEN.get(error.state, 'look at it again')}", state=error.state) from error
    except DeploymentUnknown as error:
        raise Problem(422, f"{error}; make it first, or leave it out") from error
    return _told(released)


_WHAT_THEN = {
    MediaState.PENDING: "it was sent back, wait for what becomes of it",
    MediaState.FAILED: "its dead letter can be replayed",
    MediaState.MEDIA: "nothing is left to mend",
    MediaState.UNPACKED: "its entries are files of their own",
}


def _told(file: HeldFile) -> QuarantinedOut:
    upload, held = file.upload, file.held
    return QuarantinedOut(
        media_id=upload.media_id,
        project=upload.project_id,
        deployment=upload.deployment_id,
        original_name=upload.original_name,
        original_path=upload.original_path,
        sha256=upload.sha256,
        bytes=upload.bytes,
        reason=held.reason,
        detail=held.detail,
        quarantined_at=held.quarantined_at,
        released_at=held.released_at,
        mend=None if held.mend is None else Mend.model_validate(held.mend),
    )
