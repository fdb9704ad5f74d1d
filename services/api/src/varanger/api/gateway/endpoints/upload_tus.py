"""Large files over bad links: tus 1.0.0, for any of its clients."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from varanger.api.application.accept_upload import Sender
from varanger.api.application.partial_uploads import UploadGone, WrongBytes
from varanger.api.application.resumable_upload import (
    CHECKSUMS,
    KIND,
    ChecksumWrong,
    OffsetMoved,
    PieceRefused,
    finish,
    receive,
    terminate,
)
from varanger.api.domain.access import Caller
from varanger.api.domain.names import safe_path
from varanger.api.gateway import tus_protocol as tus
from varanger.api.gateway.begun import NOT_THERE, begun_upload, ports_of
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.intake import (
    Backlog,
    LaneOfQuery,
    deployment_of_query,
    find_deployment,
    is_digest,
    refuse_unread,
    unless_silent,
)
from varanger.api.gateway.problems import Problem
from varanger.api.gateway.security import GatewayDep, Uploader
from varanger.api.gateway.tus_protocol import TusCaller
from varanger.common.catalog.tables import Deployment, PartialUpload
from varanger.common.clock import now
from varanger.common.telemetry.trace import continue_trace
from varanger.common.words import Lane

router = APIRouter(prefix=tus.PATH, tags=["media"])

BYTES = {"requestBody": {"content": {tus.BYTES: {"schema": {"type": "string", "format": "binary"}}}}}
NOT_SPOKEN: dict[int | str, dict[str, Any]] = {412: {"description": "Another version of the protocol"}}


@router.options("", status_code=204)
@router.options("/{upload_id}", status_code=204)
async def tus_options(gateway: GatewayDep, _: Uploader) -> Response:
    """What of the protocol is spoken here."""
    return Response(
        status_code=204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Max-Size": str(gateway.settings.max_file_bytes),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        },
    )


@router.post(
    "",
    status_code=201,
    openapi_extra=BYTES,
    responses={
        **NOT_SPOKEN,
        413: {"description": "Larger than Tus-Max-Size"},
        429: {"description": "The bulk lane is too far behind"},
    },
)
async def tus_create(
    *,
    request: Request,
    gateway: GatewayDep,
    caller: TusCaller,
    deployment: Annotated[Deployment, Depends(deployment_of_query)],
    lane: LaneOfQuery,
) -> Response:
    """Begin an upload: `Upload-Length`, and in `Upload-Metadata` `filename` and, where known, `sha256`.

    With a body, its bytes are the first of the file.
    """
    upload = _announced(request, gateway, caller, deployment, lane or Lane.LIVE)
    if request.headers.get("content-type") is not None:
        tus.check_content_type(request.headers)
    if upload.lane == Lane.BULK:
        backlog: Backlog = request.app.state.backlog
        await backlog.check(gateway)
    async with gateway.catalog.writing() as session:
        session.add(PartialUpload(**upload.model_dump()))
    location = {"Location": f"{tus.PATH}/{upload.upload_id}"}
    if upload.bytes == 0 or request.headers.get("content-type") == tus.BYTES:
        upload = await _take(request, gateway, caller, upload, 0)
    return Response(status_code=201, headers=location | tus.standing(upload))


@router.head("/{upload_id}", responses=NOT_THERE | NOT_SPOKEN)
async def tus_head(request: Request, gateway: GatewayDep, caller: TusCaller, upload_id: str) -> Response:
    """How far it is; and once it is done, `Varanger-Verdict`, `Varanger-Media-Id` and `Varanger-Sha256`."""
    upload = await begun_upload(gateway, caller, upload_id, KIND)
    upload = await _finished(request, gateway, caller, upload)
    headers = {"Upload-Length": str(upload.bytes), "Cache-Control": "no-store"}
    if upload.upload_metadata is not None:
        headers["Upload-Metadata"] = upload.upload_metadata
    return Response(status_code=200, headers=headers | tus.standing(upload))


@router.patch(
    "/{upload_id}",
    status_code=204,
    openapi_extra=BYTES,
    responses={
        **NOT_THERE,
        **NOT_SPOKEN,
        409: {"description": "The upload is not at this offset; `Upload-Offset` says where it is"},
        415: {"description": "Not application/offset+octet-stream"},
        460: {"description": "The bytes have another checksum than announced"},
    },
)
async def tus_patch(request: Request, gateway: GatewayDep, caller: TusCaller, upload_id: str) -> Response:
    """Send the next bytes. What has come counts even if the connection breaks. The last ones make it a file."""
    tus.check_content_type(request.headers)
    offset = tus.number(request.headers, "Upload-Offset")
    upload = await begun_upload(gateway, caller, upload_id, KIND)
    upload = await _take(request, gateway, caller, upload, offset)
    return Response(status_code=204, headers=tus.standing(upload))


@router.delete("/{upload_id}", status_code=204, responses=NOT_THERE | NOT_SPOKEN)
async def tus_delete(gateway: GatewayDep, caller: TusCaller, upload_id: str) -> Response:
    """Forget an upload. A file that it has become stays."""
    await terminate(ports_of(gateway), await begun_upload(gateway, caller, upload_id, KIND))
    return Response(status_code=204)


def _announced(request: Request, gateway: Gateway, caller: Caller, deployment: Deployment, lane: Lane) -> PartialUpload:
    if "upload-defer-length" in request.headers:
        raise Problem(400, "Upload-Defer-Length is not offered here; send Upload-Length")
    length = tus.number(request.headers, "Upload-Length")
    limit = gateway.settings.max_file_bytes
    if length > limit:
        raise Problem(413, f"Upload-Length is {length}; {limit} bytes are the limit for one file")
    told = tus.metadata(request.headers.get("upload-metadata", ""))
    if not told.get("filename"):
        raise Problem(400, "Upload-Metadata has no `filename`; send the file's relative path there, in base64")
    if "sha256" in told:
        try:
            is_digest(told["sha256"])
        except ValueError as error:
            raise Problem(400, f"Upload-Metadata: sha256: {error}") from error
    return PartialUpload(
        project_id=deployment.project_id,
        deployment_id=deployment.deployment_id,
        kind=KIND,
        key_id=caller.key_id,
        original_path=safe_path(told["filename"]),
        upload_metadata=request.headers["upload-metadata"],
        lane=lane,
        bytes=length,
        sha256=told.get("sha256"),
        expires_at=now() + timedelta(seconds=gateway.settings.partial_uploads_kept_s),
    )


async def _take(
    request: Request, gateway: Gateway, caller: Caller, upload: PartialUpload, offset: int
) -> PartialUpload:
    """The body's bytes, and the file if they were the last."""
    refuse_unread(request, gateway.settings.max_file_bytes)
    checksum = tus.checksum(request.headers.get("upload-checksum"))
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and offset == upload.offset and offset + int(announced) > (upload.bytes or 0):
        raise Problem(413, f"{announced} bytes from {offset} are more than the {upload.bytes} of Upload-Length")
    chunks: AsyncGenerator[bytes, None] = unless_silent(request.stream())
    try:
        upload = await receive(ports_of(gateway), upload, offset, chunks, checksum)
    except OffsetMoved as error:
        raise Problem(409, str(error), headers={"Upload-Offset": str(error.offset)}) from error
    except PieceRefused as error:
        raise Problem(413, str(error)) from error
    except ChecksumWrong as error:
        raise Problem(tus.CHECKSUM_MISMATCH, str(error)) from error
    except UploadGone as error:
        raise Problem(410, str(error)) from error
    return await _finished(request, gateway, caller, upload)


async def _finished(request: Request, gateway: Gateway, caller: Caller, upload: PartialUpload) -> PartialUpload:
    """Made a file if all its bytes are here and that was not done yet."""
    if upload.offset != upload.bytes or upload.verdict is not None:
        return upload
    deployment = await find_deployment(gateway, upload.project_id, upload.deployment_id)
    trace = continue_trace(request.headers.get("traceparent"))
    try:
        await finish(ports_of(gateway), upload, Sender(deployment, Lane(upload.lane), caller.name, trace))
    except WrongBytes as error:
        raise Problem(tus.CHECKSUM_MISMATCH, str(error)) from error
    except UploadGone as error:
        raise Problem(410, str(error)) from error
    return await begun_upload(gateway, caller, str(upload.upload_id), KIND)
