"""Files come in as a form, one or many: authenticated, capped and hashed while they stream."""

import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from varanger.api.application.accept_upload import ReceivedFile, Sender
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.idempotency import only_once
from varanger.api.gateway.intake import (
    Backlog,
    FileVerdict,
    LaneOfQuery,
    deployment_of_path,
    one_lane,
    refuse_unread,
    take_in,
    told,
    unless_silent,
)
from varanger.api.gateway.multipart import Form, FormLimits, MalformedForm, spool_form
from varanger.api.gateway.problems import Problem
from varanger.api.gateway.security import GatewayDep, Uploader
from varanger.api.gateway.spool import PREFIX, TooLarge
from varanger.common.catalog.tables import Deployment
from varanger.common.telemetry.trace import continue_trace
from varanger.common.words import Lane

router = APIRouter(tags=["media"])

FORM_OVERHEAD_BYTES = 1 << 20
"""Boundaries and headers around the files of one request."""
LANE_FIELDS = ("lane", "priority")
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
                        "priority": {"type": "string", "enum": list(Lane), "description": "The same as `lane`"},
                    },
                }
            }
        },
    }
}


class Verdicts(BaseModel):
    """One verdict per file, in the order they were sent."""

    results: list[FileVerdict]


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
    deployment: Annotated[Deployment, Depends(deployment_of_path)],
    lane: LaneOfQuery,
) -> Verdicts:
    """Take one file or many (`files`), all of them or none. 2xx: they are durable."""
    backlog: Backlog = request.app.state.backlog
    if lane is Lane.BULK:
        await backlog.check(gateway)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=gateway.spool_folder) as folder:
        form = await _receive(request, gateway, Path(folder))
        fields = {f"the form's {name}": Lane(form.fields[name]) for name in LANE_FIELDS if name in form.fields}
        chosen = one_lane({"the query's lane": lane, **fields}) or Lane.LIVE
        if chosen is Lane.BULK and lane is not Lane.BULK:
            await backlog.check(gateway)
        sender = Sender(deployment, chosen, caller.name, continue_trace(request.headers.get("traceparent")))
        files = [ReceivedFile(each.filename, each.path, each.sha256, each.bytes) for each in form.files]
        await only_once(request, [chosen, *((file.given_path, file.sha256) for file in files)])
        verdicts = await take_in(gateway, sender, files)
    if all(verdict.verdict == "duplicate" for verdict in verdicts):
        response.status_code = 200
    return Verdicts(results=[told(verdict) for verdict in verdicts])


async def _receive(request: Request, gateway: Gateway, folder: Path) -> Form:
    limits = FormLimits(
        file_bytes=gateway.settings.max_file_bytes,
        body_bytes=gateway.settings.max_file_bytes + FORM_OVERHEAD_BYTES,
    )
    refuse_unread(request, limits.body_bytes)
    try:
        return await spool_form(
            unless_silent(request.stream()), request.headers.get("content-type"), folder, limits, on_field=_check_field
        )
    except MalformedForm as error:
        raise Problem(400, str(error)) from error
    except TooLarge as error:
        raise Problem(413, str(error)) from error


def _check_field(name: str, value: str) -> None:
    if name not in LANE_FIELDS:
        raise MalformedForm(f"there is no form field {name!r}; known are 'files', 'lane' and 'priority'")
    if value not in set(Lane):
        raise MalformedForm(f"{name} is {value!r}; say {' or '.join(Lane)}")
