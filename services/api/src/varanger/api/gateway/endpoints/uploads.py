"""Files come in: authenticated, capped and hashed while they stream."""

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from varanger.api import PRODUCER
from varanger.api.adapters import deployment_rows, upload_rows
from varanger.api.application.accept_upload import ReceivedFile, Sender, Verdict, accept_upload
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.multipart import Form, FormLimits, FormTooLarge, MalformedForm, spool_form
from varanger.api.gateway.problems import Problem, not_found
from varanger.api.gateway.security import GatewayDep, Uploader
from varanger.common.catalog.tables import Deployment
from varanger.common.telemetry import metrics
from varanger.common.telemetry.trace import continue_trace
from varanger.common.words import Lane

router = APIRouter(tags=["media"])

_UPLOAD_PATH = re.compile(r"/v1/projects/[^/]+/deployments/[^/]+/media")
FORM_OVERHEAD_BYTES = 1 << 20
"""Boundaries and headers around the files of one request."""
BULK_RETRY_AFTER_S = 30
BACKLOG_FRESH_S = 2.0

LONGEST_SILENCE_S = 300.0
"""A client that sends nothing for this long is gone, whatever its connection says."""

FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "lane": {"type": "string", "enum": list(Lane)},
                    },
                }
            }
        },
    }
}


class FileVerdict(BaseModel):
    """What became of one file. For a duplicate, `media_id` is the file's that was here first."""

    file: str
    verdict: Literal["accepted", "duplicate", "rejected"]
    media_id: UUID | None
    sha256: str | None
    reason: str


class Verdicts(BaseModel):
    """One verdict per file, in the order they were sent."""

    results: list[FileVerdict]


class Backlog:
    """How much bulk work waits, counted again at most every two seconds."""

    def __init__(self) -> None:
        self._counted_at = -BACKLOG_FRESH_S
        self._waiting = 0

    async def check(self, gateway: Gateway) -> None:
        """Raises Problem 429 while the bulk lane is too far behind."""
        limit = gateway.settings.bulk_backlog_limit
        if time.monotonic() - self._counted_at >= BACKLOG_FRESH_S:
            async with gateway.catalog.reading() as session:
                self._waiting = await upload_rows.bulk_backlog(session, limit + 1)
            self._counted_at = time.monotonic()
        if self._waiting > limit:
            raise Problem(
                429,
                f"more than {limit} bulk files wait already; send them later, or as lane=live if they are urgent",
                headers={"Retry-After": str(BULK_RETRY_AFTER_S)},
            )


async def find_deployment(project: str, deployment: str, gateway: GatewayDep, _: Uploader) -> Deployment:
    """The deployment of the path; the key was checked before."""
    async with gateway.catalog.reading() as session:
        found = await deployment_rows.find(session, project, deployment)
    if found is None:
        raise not_found(f"deployment in project {project!r} called", deployment)
    return found


@router.post(
    "/v1/projects/{project}/deployments/{deployment}/media",
    status_code=201,
    openapi_extra=FORM,
    responses={
        200: {"model": Verdicts, "description": "Every file was here already"},
        413: {"description": "A file or the body is over its limit"},
        429: {"description": "The bulk lane is too far behind"},
        503: {"description": "Store or catalog do not answer; nothing was recorded"},
    },
)
async def upload_media(
    *,
    request: Request,
    response: Response,
    gateway: GatewayDep,
    caller: Uploader,
    deployment: Annotated[Deployment, Depends(find_deployment)],
    lane: Annotated[Lane | None, Query(description="`live` (default) or `bulk`; also taken as a form field")] = None,
) -> Verdicts:
    """Take one file or many (`files`), all of them or none. 2xx: they are durable."""
    backlog: Backlog = request.app.state.backlog
    if lane is Lane.BULK:
        await backlog.check(gateway)
    with tempfile.TemporaryDirectory(prefix="varanger-upload-", dir=gateway.spool_folder) as folder:
        form = await _receive(request, gateway, Path(folder))
        chosen = Lane(form.fields["lane"]) if "lane" in form.fields else lane or Lane.LIVE
        if chosen is Lane.BULK and lane is not Lane.BULK:
            await backlog.check(gateway)
        sender = Sender(deployment, chosen, caller.name, continue_trace(request.headers.get("traceparent")), PRODUCER)
        files = [ReceivedFile(each.filename, each.path, each.sha256, each.bytes) for each in form.files]
        gateway.progress.take()
        try:
            verdicts = await accept_upload(gateway.catalog, gateway.objects, sender, files)
        finally:
            gateway.progress.end()
    for file, verdict in zip(files, verdicts, strict=True):
        metrics.UPLOADS.labels(verdict.verdict).inc()
        metrics.UPLOADED_BYTES.inc(file.bytes)
    if all(verdict.verdict == "duplicate" for verdict in verdicts):
        response.status_code = 200
    return Verdicts(results=[_told(verdict) for verdict in verdicts])


async def _receive(request: Request, gateway: Gateway, folder: Path) -> Form:
    limits = FormLimits(
        file_bytes=gateway.settings.max_file_bytes,
        body_bytes=gateway.settings.max_file_bytes + FORM_OVERHEAD_BYTES,
    )
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Problem(415, f"Content-Encoding is {encoding!r}; images are small already, send them as they are")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.body_bytes:
        raise Problem(413, f"the body is announced with {announced} bytes, the limit is {limits.body_bytes}")
    try:
        return await spool_form(
            _unless_silent(request.stream()), request.headers.get("content-type"), folder, limits, on_field=_check_field
        )
    except MalformedForm as error:
        raise Problem(400, str(error)) from error
    except FormTooLarge as error:
        raise Problem(413, str(error)) from error


async def _unless_silent(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            async with asyncio.timeout(LONGEST_SILENCE_S):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise Problem(408, f"nothing came for {LONGEST_SILENCE_S:g} seconds; send the files again") from error
        if chunk is None:
            return
        yield chunk


def streams(path: str) -> bool:
    """Whether this is the path of an upload, whose body is capped here while it streams."""
    return _UPLOAD_PATH.fullmatch(path) is not None


def _check_field(name: str, value: str) -> None:
    if name != "lane":
        raise MalformedForm(f"there is no form field {name!r}; known are 'files' and 'lane'")
    if value not in set(Lane):
        raise MalformedForm(f"lane is {value!r}; say {' or '.join(Lane)}")


def _told(verdict: Verdict) -> FileVerdict:
    return FileVerdict(
        file=verdict.file,
        verdict=verdict.verdict,
        media_id=verdict.media_id,
        sha256=verdict.sha256,
        reason=verdict.reason,
    )
