"""Exports: the project's answers in formats that others read."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from varanger.api.application.exports import Names, export_final_table
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.security import GatewayDep, Reader

router = APIRouter(prefix="/v1/projects/{project}/exports", tags=["exports"])

NamesQuery = Annotated[Names, Query(description="`image_name` as stored, or as `<site>_YYYY-MM-DD_NNNN.JPG`")]


CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}, "description": "The table"}}


@router.get("/final-table", response_class=StreamingResponse, responses=CSV)
@router.post("/final-table", response_class=StreamingResponse, responses=CSV)
async def final_table(gateway: GatewayDep, _: Reader, project: str, names: NamesQuery = "stored") -> StreamingResponse:
    """Böhner's final table as CSV: one row per image and class; NA, never 0, where nobody looked."""
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)
    pieces = export_final_table(gateway.catalog, project, names=names)
    first = await anext(pieces)

    async def body() -> AsyncIterator[str]:
        async with aclosing(pieces):  # a reader who leaves lets the catalog's session go at once
            yield first
            async for piece in pieces:
                yield piece

    headers = {"Content-Disposition": f'attachment; filename="{project}_final_table.csv"'}
    return StreamingResponse(body(), media_type="text/csv", headers=headers)
