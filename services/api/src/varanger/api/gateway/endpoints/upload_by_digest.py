"""Files by their sha256: ask which are unknown, then put each under its own, as often as a bad link needs."""

from collections.abc import AsyncGenerator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from varanger.api.adapters import upload_rows
from varanger.api.application.accept_upload import Sender, offer_again, place
from varanger.api.domain.access import Scope
from varanger.api.gateway.inputs import Input
from varanger.api.gateway.intake import (
    Backlog,
    Digest,
    FileVerdict,
    LaneOfQuery,
    deployment_of_query,
    refuse_unread,
    take_in,
    told,
    unless_silent,
)
from varanger.api.gateway.problems import Problem, not_found
from varanger.api.gateway.security import GatewayDep, Uploader, check
from varanger.common.catalog.tables import Deployment
from varanger.common.errors import ContentDiffers
from varanger.common.telemetry import metrics
from varanger.common.telemetry.trace import continue_trace
from varanger.common.words import Lane

router = APIRouter(prefix="/v1/uploads", tags=["media"])

MOST_DIGESTS = 1000
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class CheckIn(Input):
    """Which of these contents does the project not have?"""

    project: str
    sha256: list[Digest] = Field(max_length=MOST_DIGESTS)


class KnownContent(BaseModel):
    """Content that need not be sent; `media_id` is the file's that brought it."""

    sha256: str
    media_id: UUID


class CheckOut(BaseModel):
    """Both in the order of the question."""

    unknown: list[str]
    known: list[KnownContent]


@router.post("/check")
async def check_digests(gateway: GatewayDep, caller: Uploader, wanted: CheckIn) -> CheckOut:
    """Which of up to 1,000 files need sending. Changes nothing; one query."""
    check(caller, Scope.UPLOAD, wanted.project)
    async with gateway.catalog.reading() as session:
        found = await upload_rows.known_of_project(session, wanted.project, set(wanted.sha256))
    if found is None:
        raise not_found("project", wanted.project)
    return CheckOut(
        unknown=[digest for digest in wanted.sha256 if digest not in found],
        known=[KnownContent(sha256=digest, media_id=found[digest]) for digest in wanted.sha256 if digest in found],
    )


@router.put(
    "/sha256/{digest}",
    status_code=201,
    openapi_extra=BODY,
    responses={
        200: {"model": FileVerdict, "description": "The project has this content; the body was not needed"},
        413: {"description": "The file is over its limit"},
        422: {"description": "The bytes have another sha256; nothing was kept"},
        429: {"description": "The bulk lane is too far behind"},
        503: {"description": "Store or catalog do not answer; nothing was recorded"},
    },
)
async def put_file(
    *,
    request: Request,
    response: Response,
    gateway: GatewayDep,
    caller: Uploader,
    deployment: Annotated[Deployment, Depends(deployment_of_query)],
    lane: LaneOfQuery,
    digest: Digest,
    path: Annotated[str, Query(min_length=1, description="the client's relative path: `DCIM/100RECNX/IMG_0001.JPG`")],
) -> FileVerdict:
    """Take the bytes of one file. 2xx: they are durable. May be repeated until answered.

    Content that the project has is answered before the body is read: a client that sends `Expect: 100-continue` need
    not send it at all.
    """
    sender = Sender(deployment, lane or Lane.LIVE, caller.name, continue_trace(request.headers.get("traceparent")))
    refuse_unread(request, gateway.settings.max_file_bytes)
    known = await offer_again(gateway.catalog, sender, path, digest)
    if known is not None:
        metrics.UPLOADS.labels(known.verdict).inc()
        response.status_code = 200
        return told(known)
    if sender.lane is Lane.BULK:
        backlog: Backlog = request.app.state.backlog
        await backlog.check(gateway)
    body = _body(request, path, gateway.settings.max_file_bytes)
    try:
        received = await place(gateway.objects, sender, path, body, digest)
    except ContentDiffers as error:
        raise Problem(
            422,
            f"{path!r}: the bytes that came have sha256 {error.sha256}, the address says {digest}; nothing was kept. "
            "Read the file again: it may have changed, or been damaged on the way",
        ) from error
    [verdict] = await take_in(gateway, sender, [received], new=True)
    if verdict.verdict == "duplicate":
        response.status_code = 200
    return told(verdict)


async def _body(request: Request, path: str, limit: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes.

    Raises:
        Problem: 413 at the first byte over the limit, 408 for a silent client, 400 where less came than announced.
    """
    came = 0
    async for chunk in unless_silent(request.stream()):
        came += len(chunk)
        if came > limit:
            raise Problem(413, f"{path!r} is larger than {limit} bytes, the limit for one file")
        yield chunk
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) != came:
        raise Problem(400, f"{came} bytes came, Content-Length announced {announced}; send the file again")
