"""Trusted clients that reach the object store send there: the gateway signs the URLs, and reads what has come."""

from datetime import datetime, timedelta
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from varanger.api.application.accept_upload import Sender, offer_again
from varanger.api.application.direct_upload import KIND, PartsWrong, abort, complete, part_sizes
from varanger.api.application.partial_uploads import UploadGone, WrongBytes, direct_key
from varanger.api.domain.access import Caller, Scope
from varanger.api.domain.names import safe_path
from varanger.api.gateway.begun import NOT_THERE, begun_upload, ports_of
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.inputs import Input
from varanger.api.gateway.intake import Backlog, Digest, FileVerdict, find_deployment, one_lane, told
from varanger.api.gateway.problems import Problem
from varanger.api.gateway.security import GatewayDep, Uploader, check
from varanger.common.catalog.tables import PartialUpload
from varanger.common.clock import now
from varanger.common.errors import PartsRefused
from varanger.common.ids import new_id
from varanger.common.ports.direct_uploads import LARGEST_PART_BYTES, MOST_PARTS, SMALLEST_PART_BYTES, DirectUploads
from varanger.common.telemetry import metrics
from varanger.common.telemetry.trace import continue_trace
from varanger.common.words import Lane

router = APIRouter(prefix="/v1/uploads/presigned", tags=["media"])

USUAL_PART_BYTES = 16 << 20


class PresignedIn(Input):
    """A file that the client is going to send by itself."""

    project: str
    deployment: str
    path: str = Field(min_length=1, description="the client's relative path: `DCIM/100RECNX/IMG_0001.JPG`")
    bytes: int = Field(ge=1)
    sha256: Digest
    lane: Lane | None = None
    priority: Lane | None = Field(default=None, description="the same as `lane`")
    part_bytes: int | None = Field(
        default=None, ge=SMALLEST_PART_BYTES, le=LARGEST_PART_BYTES, description="of every part but the last"
    )


class PartOut(BaseModel):
    """One part: PUT its bytes to the URL, keep the `ETag` of the answer."""

    number: int
    url: str
    bytes: int


class PresignedOut(BaseModel):
    """Where to send the parts, in any order, and until when."""

    upload_id: UUID
    part_bytes: int
    parts: list[PartOut]
    expires_at: datetime


class KnownOut(BaseModel):
    """The project has this content: nothing needs to be sent."""

    verdict: FileVerdict


class SentPart(Input):
    """A part that the store has taken."""

    number: int = Field(ge=1, le=MOST_PARTS)
    etag: str = Field(min_length=1, max_length=200)


class CompleteIn(Input):
    """Every part, in any order."""

    parts: list[SentPart] = Field(max_length=MOST_PARTS)


@router.post(
    "",
    status_code=201,
    response_model=PresignedOut,
    responses={
        200: {"model": KnownOut, "description": "The project has this content; nothing needs to be sent"},
        413: {"description": "The file is over its limit"},
        429: {"description": "The bulk lane is too far behind"},
        501: {"description": "This object store cannot sign URLs"},
    },
)
async def presign(
    request: Request, response: Response, gateway: GatewayDep, caller: Uploader, wanted: PresignedIn
) -> PresignedOut | Response:
    """Begin an upload of which no byte passes the gateway. Nothing counts before it is completed."""
    check(caller, Scope.UPLOAD, wanted.project)
    deployment = await find_deployment(gateway, wanted.project, wanted.deployment)
    lane = one_lane({"lane": wanted.lane, "priority": wanted.priority}) or Lane.LIVE
    direct = _direct(gateway)
    if wanted.bytes > gateway.settings.max_file_bytes:
        raise Problem(413, f"bytes is {wanted.bytes}; {gateway.settings.max_file_bytes} is the limit for one file")
    sender = Sender(deployment, lane, caller.name, continue_trace(request.headers.get("traceparent")))
    known = await offer_again(gateway.catalog, sender, wanted.path, wanted.sha256)
    if known is not None:
        metrics.UPLOADS.labels(known.verdict).inc()
        return Response(KnownOut(verdict=told(known)).model_dump_json(), 200, media_type="application/json")
    if lane is Lane.BULK:
        backlog: Backlog = request.app.state.backlog
        await backlog.check(gateway)
    return await _begin(gateway, direct, caller, wanted, lane)


@router.post(
    "/{upload_id}/complete",
    status_code=201,
    responses={
        **NOT_THERE,
        200: {"model": FileVerdict, "description": "The project has this content"},
        422: {"description": "Parts are missing or wrong, or the file is not the announced one"},
    },
)
async def complete_presigned(
    *, request: Request, response: Response, gateway: GatewayDep, caller: Uploader, upload_id: UUID, sent: CompleteIn
) -> FileVerdict:
    """Make a file of the parts. 2xx: it is durable, and its bytes were read and are the announced ones."""
    direct = _direct(gateway)
    upload = await begun_upload(gateway, caller, upload_id, KIND)
    deployment = await find_deployment(gateway, upload.project_id, upload.deployment_id)
    sender = Sender(deployment, Lane(upload.lane), caller.name, continue_trace(request.headers.get("traceparent")))
    named = {part.number: part.etag.strip('"') for part in sent.parts}
    try:
        verdict = await complete(ports_of(gateway), direct, upload, sender, named)
    except (PartsWrong, PartsRefused) as error:
        raise Problem(422, f"parts: {error}") from error
    except WrongBytes as error:
        raise Problem(422, str(error)) from error
    except UploadGone as error:
        raise Problem(410, str(error)) from error
    if verdict.verdict == "duplicate":
        response.status_code = 200
    return told(verdict)


@router.delete("/{upload_id}", status_code=204, responses=NOT_THERE)
async def abort_presigned(gateway: GatewayDep, caller: Uploader, upload_id: UUID) -> Response:
    """Forget an upload and its parts. A file that it has become stays."""
    await abort(ports_of(gateway), _direct(gateway), await begun_upload(gateway, caller, upload_id, KIND))
    return Response(status_code=204)


async def _begin(
    gateway: Gateway, direct: DirectUploads, caller: Caller, wanted: PresignedIn, lane: Lane
) -> PresignedOut:
    part_bytes = wanted.part_bytes or max(USUAL_PART_BYTES, -(-wanted.bytes // MOST_PARTS))
    sizes = part_sizes(wanted.bytes, part_bytes)
    if len(sizes) > MOST_PARTS:
        raise Problem(422, f"part_bytes: {part_bytes} makes {len(sizes)} parts of this file, {MOST_PARTS} are the most")
    for_s = gateway.settings.presigned_for_s
    upload = PartialUpload(
        upload_id=new_id(),
        project_id=wanted.project,
        deployment_id=wanted.deployment,
        kind=KIND,
        key_id=caller.key_id,
        original_path=safe_path(wanted.path),
        lane=lane,
        bytes=wanted.bytes,
        sha256=wanted.sha256,
        parts=[{"bytes": size} for size in sizes],
        expires_at=now() + timedelta(seconds=for_s),
    )
    key = direct_key(upload)
    store_upload_id = upload.store_upload_id = await direct.begin(key)
    async with gateway.catalog.writing() as session:
        session.add(upload)
    return PresignedOut(
        upload_id=upload.upload_id,
        part_bytes=part_bytes,
        parts=[
            PartOut(number=number, url=direct.part_url(key, store_upload_id, number, for_s), bytes=size)
            for number, size in enumerate(sizes, 1)
        ],
        expires_at=upload.expires_at,
    )


def _direct(gateway: Gateway) -> DirectUploads:
    if gateway.objects.direct is None:
        raise Problem(
            501,
            "the object store here is a folder, and nobody can be let into it by a URL; use /v1/uploads/tus",
        )
    return gateway.objects.direct
