"""Exports: the project's files under other tools' names, and its answers in formats that others read."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from varanger.api.application.exports import export_final_table, export_names
from varanger.api.domain.export_names import Template
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.security import GatewayDep, Reader

router = APIRouter(prefix="/v1/projects/{project}/exports", tags=["exports"])

_TEMPLATES = (
    "`default`: the media's own name; `bohner`: `<site>_YYYY-MM-DD_NNNN.JPG`; "
    "`camtrapr`: `Station__Camera__YYYY-MM-DD__HH-MM-SS(n).JPG`; "
    "`megadetector`: `<deployment>_<folders>_<file>.YYYY-MM-DD_HH-MM-SS.JPG`"
)
TemplateQuery = Annotated[Template, Query(description=_TEMPLATES)]
NamesQuery = Annotated[Template, Query(description=f"`image_name` by this template. {_TEMPLATES}")]

CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}, "description": "The table"}}


@router.get("/names", response_class=StreamingResponse, responses=CSV)
async def names_of_files(
    gateway: GatewayDep, _: Reader, project: str, template: TemplateQuery = Template.DEFAULT
) -> StreamingResponse:
    """Every media with its name under a template as CSV, by location and time; no two names are alike."""
    await _check_project(gateway, project)
    pieces = export_names(gateway.catalog, project, template=template, spool_folder=gateway.spool_folder)
    return await _table(pieces, f"{project}_names_{template}.csv")


@router.get("/final-table", response_class=StreamingResponse, responses=CSV)
async def final_table(
    gateway: GatewayDep, _: Reader, project: str, names: NamesQuery = Template.DEFAULT
) -> StreamingResponse:
    """Böhner's final table as CSV: one row per image and class; NA, never 0, where nobody looked."""
    await _check_project(gateway, project)
    pieces = export_final_table(gateway.catalog, project, names=names, spool_folder=gateway.spool_folder)
    return await _table(pieces, f"{project}_final_table.csv")


async def _check_project(gateway: GatewayDep, project: str) -> None:
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)


async def _table(pieces: AsyncGenerator[str, None], file_name: str) -> StreamingResponse:
    """The first piece is awaited, so that a catalog that is away is a 503 and not half a table."""
    first = await anext(pieces)

    async def body() -> AsyncIterator[str]:
        async with aclosing(pieces):  # a reader who leaves gives the spool's disk back at once
            yield first
            async for piece in pieces:
                yield piece

    headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return StreamingResponse(body(), media_type="text/csv", headers=headers)
