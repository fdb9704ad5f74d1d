"""What every way of uploading shares: the deployment, the lane, patience with a silent client, and the verdict."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, BaseModel

from varanger.api.adapters import deployment_rows, upload_rows
from varanger.api.application.accept_upload import ReceivedFile, Sender, Verdict, accept_upload
from varanger.api.domain.access import Scope
from varanger.api.gateway.bodies import LONGEST_SILENCE_S
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.problems import Problem, not_found
from varanger.api.gateway.security import GatewayDep, Uploader, check
from varanger.common.catalog.tables import Deployment
from varanger.common.telemetry import metrics
from varanger.common.words import Lane

_STREAMED = (
    re.compile(r"/v1/projects/[^/]+/deployments/[^/]+/media"),
    re.compile(r"/v1/uploads/sha256/[^/]+"),
    re.compile(r"/v1/uploads/tus(/[^/]+)?"),
)
BULK_RETRY_AFTER_S = 30
BACKLOG_FRESH_S = 2.0


def is_digest(given: str) -> str:
    """The sha256 itself. Raises ValueError where it is none."""
    if len(given) != 64 or not set(given) <= set("0123456789abcdef"):
        raise ValueError(f"{given[:80]!r} is no sha256: send 64 hex digits in lower case")
    return given


Digest = Annotated[str, AfterValidator(is_digest)]


def streams(path: str) -> bool:
    """Whether this path's endpoint takes a body of any length, and caps it itself while it streams."""
    return any(streamed.fullmatch(path) for streamed in _STREAMED)


class FileVerdict(BaseModel):
    """What became of one file. For a duplicate, `media_id` is the file's that was here first."""

    file: str
    verdict: Literal["accepted", "duplicate", "rejected"]
    media_id: UUID | None
    sha256: str | None
    reason: str


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


async def deployment_of_path(project: str, deployment: str, gateway: GatewayDep, _: Uploader) -> Deployment:
    """The deployment of the path; the key was checked before."""
    return await find_deployment(gateway, project, deployment)


async def deployment_of_query(
    gateway: GatewayDep,
    caller: Uploader,
    project: Annotated[str, Query(description="the project's id")],
    deployment: Annotated[str, Query(description="the deployment's id")],
) -> Deployment:
    """The deployment that the query names; the key was checked before, and may be another project's."""
    check(caller, Scope.UPLOAD, project)
    return await find_deployment(gateway, project, deployment)


def one_lane(given: Mapping[str, Lane | None]) -> Lane | None:
    """The lane that these parameters name (`{what it is called: lane}`), or None where none does.

    Raises:
        Problem: 422 where two of them differ.
    """
    named = {name: lane for name, lane in given.items() if lane is not None}
    if len(set(named.values())) > 1:
        said = ", ".join(f"{name} is {str(lane)!r}" for name, lane in named.items())
        raise Problem(422, f"{said}: they are names of the same thing, send one of them")
    return next(iter(named.values()), None)


async def lane_of_query(
    lane: Annotated[Lane | None, Query(description="`live` (default) or `bulk`")] = None,
    priority: Annotated[Lane | None, Query(description="The same as `lane`")] = None,
) -> Lane | None:
    """The lane that the query names, or None. Problem 422 where `lane` and `priority` differ."""
    return one_lane({"lane": lane, "priority": priority})


LaneOfQuery = Annotated[Lane | None, Depends(lane_of_query)]


async def find_deployment(gateway: Gateway, project: str, deployment: str) -> Deployment:
    """The deployment, or Problem 404."""
    async with gateway.catalog.reading() as session:
        found = await deployment_rows.find(session, project, deployment)
    if found is None:
        raise not_found(f"deployment in project {project!r} called", deployment)
    return found


async def unless_silent(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The chunks of a body; Problem 408 once nothing came for `LONGEST_SILENCE_S`."""
    while True:
        try:
            async with asyncio.timeout(LONGEST_SILENCE_S):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise Problem(408, f"nothing came for {LONGEST_SILENCE_S:g} seconds; send the files again") from error
        if chunk is None:
            return
        yield chunk


def refuse_unread(request: Request, largest: int) -> None:
    """Refuse by its headers alone a body that would be refused once read.

    Raises:
        Problem: 415 for a compressed one, 413 for one announced with more than `largest` bytes.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Problem(415, f"Content-Encoding is {encoding!r}; images are small already, send them as they are")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > largest:
        raise Problem(413, f"the body is announced with {announced} bytes, the limit is {largest}")


async def take_in(
    gateway: Gateway, sender: Sender, files: Sequence[ReceivedFile], *, new: bool = False
) -> list[Verdict]:
    """`accept_upload`, watched and counted."""
    with gateway.progress.watching():
        verdicts = await accept_upload(gateway.catalog, gateway.objects, sender, files, new=new)
    for file, verdict in zip(files, verdicts, strict=True):
        metrics.UPLOADS.labels(verdict.verdict).inc()
        metrics.UPLOADED_BYTES.inc(file.bytes)
    return verdicts


def told(verdict: Verdict) -> FileVerdict:
    """As the API tells it."""
    return FileVerdict(
        file=verdict.file,
        verdict=verdict.verdict,
        media_id=verdict.media_id,
        sha256=verdict.sha256,
        reason=verdict.reason,
    )
