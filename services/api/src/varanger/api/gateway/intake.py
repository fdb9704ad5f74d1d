"""What every way of uploading shares: the deployment, the lane, patience with a silent client, and the verdict."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from varanger.api.adapters import deployment_rows, upload_rows
from varanger.api.application.accept_upload import Verdict
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.problems import Problem, not_found
from varanger.api.gateway.security import GatewayDep, Uploader
from varanger.common.catalog.tables import Deployment

_STREAMED = re.compile(r"/v1/projects/[^/]+/deployments/[^/]+/media")
BULK_RETRY_AFTER_S = 30
BACKLOG_FRESH_S = 2.0

LONGEST_SILENCE_S = 300.0
"""A client that sends nothing for this long is gone, whatever its connection says."""


def streams(path: str) -> bool:
    """Whether this path's endpoint takes a body of any length, and caps it itself while it streams."""
    return _STREAMED.fullmatch(path) is not None


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


def told(verdict: Verdict) -> FileVerdict:
    """As the API tells it."""
    return FileVerdict(
        file=verdict.file,
        verdict=verdict.verdict,
        media_id=verdict.media_id,
        sha256=verdict.sha256,
        reason=verdict.reason,
    )
