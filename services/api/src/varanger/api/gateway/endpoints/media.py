"""Media: what came in, what was found in it, its history, its image."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from varanger.api.adapters.media_rows import MediaFilter
from varanger.api.application.media_queries import (
    KnownFile,
    find_media,
    list_media,
    project_stats,
    whole_file,
)
from varanger.api.application.set_date import set_date
from varanger.api.domain.access import EVERY_PROJECT, Caller, Scope, is_withheld
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.inputs import Input, SaidDate
from varanger.api.gateway.media_views import (
    MediaPage,
    StatsOut,
    WholeMedia,
    media_out,
    stats_out,
    whole_media,
)
from varanger.api.gateway.problems import Problem, not_found
from varanger.api.gateway.security import CallerDep, GatewayDep, Reader, check
from varanger.common.errors import ObjectMissing
from varanger.common.words import MediaState

router = APIRouter(prefix="/v1", tags=["media"])

JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "The bytes"}}

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@router.get("/projects/{project}/stats")
async def get_stats(gateway: GatewayDep, _: Reader, project: str) -> StatsOut:
    """Where the accepted files are. Each is in exactly one state; `received` is their sum."""
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)
    return stats_out(await project_stats(gateway.catalog, project))


@router.get("/media")
async def get_media_page(
    gateway: GatewayDep,
    caller: Reader,
    *,
    project: Annotated[str | None, Query()] = None,
    deployment: Annotated[str | None, Query()] = None,
    state: Annotated[MediaState | None, Query()] = None,
    label: Annotated[str | None, Query()] = None,
    route: Annotated[str | None, Query()] = None,
    release: Annotated[str | None, Query()] = None,
    private: Annotated[bool | None, Query()] = None,
    event: Annotated[str | None, Query(description="an event's id")] = None,
    captured_from: Annotated[datetime | None, Query(description="the camera's own time, without a zone")] = None,
    captured_to: Annotated[datetime | None, Query(description="exclusive")] = None,
    min_confidence: Annotated[float | None, Query(ge=0, le=1)] = None,
    max_confidence: Annotated[float | None, Query(ge=0, le=1)] = None,
    order: Annotated[Literal["newest", "oldest"], Query(description="of arrival")] = "newest",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[UUID | None, Query(description="`next` of the page before")] = None,
) -> MediaPage:
    """A page of files. Give `next` back as `cursor` until it is null; what arrives meanwhile shifts nothing.

    An unpacked archive is listed with `state=unpacked` alone: its entries stand for it.
    """
    if project is not None:
        check(caller, Scope.READ, project)
    _camera_time("captured_from", captured_from)
    _camera_time("captured_to", captured_to)
    reached = None if caller.project_id == EVERY_PROJECT else [caller.project_id]
    wanted = MediaFilter(
        project_ids=reached if project is None else [project],
        deployment_id=deployment,
        state=state,
        label=label,
        route=route,
        release_id=release,
        private=private,
        event_id=event,
        captured_from=captured_from,
        captured_to=captured_to,
        min_confidence=min_confidence,
        max_confidence=max_confidence,
    )
    page = await list_media(gateway.catalog, wanted, limit=limit, after=cursor, newest_first=order == "newest")
    return MediaPage(items=[media_out(file) for file in page.files], next=page.next_after)


async def readable_file(media_id: UUID, gateway: GatewayDep, caller: CallerDep) -> KnownFile:
    """The file of the path, if the key reaches its project; a key that does not learns nothing of it."""
    check(caller, Scope.READ, None)
    found = await find_media(gateway.catalog, media_id)
    if found is None or not caller.reaches(found.upload.project_id):
        raise not_found("media", media_id)
    return found


FileDep = Annotated[KnownFile, Depends(readable_file)]


@router.get("/media/{media_id}")
async def get_media(gateway: GatewayDep, file: FileDep) -> WholeMedia:
    """One file with everything known of it: all predictions, reviews, why it failed, and its whole history."""
    return whole_media(await whole_file(gateway.catalog, file))


class MediaChange(Input):
    """What a person may set of a media."""

    captured_at: SaidDate
    """The camera's own time, without an offset, as its strip in the image or its neighbours tell it: the deployment's
    clock correction applies to it."""


@router.patch("/media/{media_id}")
async def patch_media(gateway: GatewayDep, caller: CallerDep, file: FileDep, change: MediaChange) -> WholeMedia:
    """Set a date that is missing or wrong. Its time and event follow; its name and its files stay."""
    check(caller, Scope.REVIEW, file.upload.project_id)
    if file.media is None:
        raise Problem(409, f"this file is {file.upload.state!r}: only a stored media can be given a date")
    async with gateway.catalog.writing() as session:
        await set_date(session, file.media.media_id, change.captured_at, by=caller.name)
    changed = await find_media(gateway.catalog, file.media.media_id)
    return whole_media(await whole_file(gateway.catalog, changed or file))


@router.get("/media/{media_id}/image", response_class=StreamingResponse, responses=JPEG)
async def get_image(gateway: GatewayDep, caller: CallerDep, file: FileDep) -> StreamingResponse:
    """The original file. A private one (people, vehicles) needs the scope `review`."""
    _may_look(caller, file)
    if file.media is None:
        raise _no_image(file)
    return await streamed(gateway, file.media.key, file.media.media_type, file.media.name)


@router.get("/media/{media_id}/view", response_class=StreamingResponse, responses=JPEG)
async def get_view(gateway: GatewayDep, caller: CallerDep, file: FileDep) -> StreamingResponse:
    """The view: a JPEG of at most 1280 px. A private one (people, vehicles) needs the scope `review`."""
    _may_look(caller, file)
    if file.media is None:
        raise _no_image(file)
    return await streamed(gateway, file.media.view_key, "image/jpeg", f"{file.media.media_id}.jpg")


def _may_look(caller: Caller, file: KnownFile) -> None:
    if file.media is None or caller.may(Scope.REVIEW):
        return
    if is_withheld(private=file.media.private, answered=file.media.label is not None):
        why = "people or vehicles are in this image" if file.media.private else "nothing has looked at this image yet"
        raise Problem(403, f"{why}: it needs a key with the scope 'review'")


def _no_image(file: KnownFile) -> Problem:
    return Problem(404, f"this file is {file.upload.state!r}: it has no stored image (yet)")


async def streamed(
    gateway: Gateway,
    key: str,
    media_type: str,
    name: str,
    *,
    disposition: Literal["inline", "attachment"] = "inline",
) -> StreamingResponse:
    """An object as it comes from the store; its first chunk is awaited, so that a missing one is a 404."""
    chunks = gateway.objects.stream(key)
    try:
        first = await anext(chunks, b"")
    except ObjectMissing as error:
        raise Problem(404, "its object is not in the store (any more)") from error

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    headers = {
        # Content never changes under its id, but whether it is private may: so only the asker's own cache, and briefly.
        "Cache-Control": "private, max-age=300",
        "Content-Disposition": f'{disposition}; filename="{_UNSAFE.sub("_", name)}"',
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(body(), media_type=media_type, headers=headers)


def _camera_time(name: str, value: datetime | None) -> None:
    if value is not None and value.tzinfo is not None:
        raise Problem(422, f"{name}: the camera's own time has no zone; leave the offset out")
