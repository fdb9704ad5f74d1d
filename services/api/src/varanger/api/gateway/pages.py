"""Pages for people: what came in and what was found, and the API's operations. No script, nothing from elsewhere."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from varanger.api.adapters import deployment_rows
from varanger.api.adapters.media_rows import MediaFilter
from varanger.api.application.media_queries import list_media, project_stats
from varanger.api.domain.access import Scope, is_withheld
from varanger.api.gateway import openapi
from varanger.api.gateway.media_views import MediaOut, media_out, stats_out
from varanger.api.gateway.problems import not_found
from varanger.api.gateway.security import GatewayDep, Reader
from varanger.common.words import MediaState

router = APIRouter(tags=["pages"], include_in_schema=False)

LATEST = 24
HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)


@router.get("/", response_class=HTMLResponse)
async def overview(gateway: GatewayDep, caller: Reader, project: Annotated[str | None, Query()] = None) -> HTMLResponse:
    """What came in, what was found, the latest images with their boxes."""
    async with gateway.catalog.reading() as session:
        rows = [row for row in await deployment_rows.list_projects(session) if caller.reaches(row.project_id)]
    chosen = next((row for row in rows if project in (None, row.project_id)), None)
    if project is not None and chosen is None:
        raise not_found("project", project)
    if chosen is None:
        return _page("overview.html", projects=[], chosen=None)
    wanted = MediaFilter(project_ids=[chosen.project_id], state=MediaState.MEDIA)
    latest = await list_media(gateway.catalog, wanted, limit=LATEST)
    return _page(
        "overview.html",
        projects=rows,
        chosen=chosen,
        stats=stats_out(await project_stats(gateway.catalog, chosen.project_id)),
        latest=[_picture(media_out(file), may_see_private=caller.may(Scope.REVIEW)) for file in latest.files],
    )


@router.get("/docs", response_class=HTMLResponse)
async def operations(request: Request) -> HTMLResponse:
    """Every operation of the API, from its OpenAPI document."""
    document = openapi.describe(request.app)
    by_tag: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            entry = {"method": method.upper(), "path": path, **_operation(operation)}
            by_tag.setdefault((operation.get("tags") or ["other"])[0], []).append(entry)
    return _page("docs.html", title=document["info"]["title"], description=document["info"]["description"], tags=by_tag)


@router.get("/openapi.json")
async def openapi_json(request: Request) -> dict[str, Any]:
    """The OpenAPI document."""
    return openapi.describe(request.app)


def install_static(app: FastAPI) -> None:
    """The one style sheet."""
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")


def _page(name: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(_templates.get_template(name).render(**values), headers=HEADERS)


def _picture(media: MediaOut, *, may_see_private: bool) -> dict[str, Any]:
    """What the page shows of one media: its boxes in the view's own proportions, 1000 units wide."""
    height = round(1000 * (media.height or 3) / (media.width or 4))
    boxes = [
        {
            "x": round(1000 * box.bbox[0], 1),
            "y": round(height * box.bbox[1], 1),
            "width": round(1000 * box.bbox[2], 1),
            "height": round(height * box.bbox[3], 1),
            "kind": "expert" if box.stage.startswith("expert") else "global",
            "text": f"{box.label} {box.confidence:.2f}",
            "stage": box.stage,
        }
        for box in media.detections
    ]
    withheld = is_withheld(private=media.private, answered=media.label is not None)
    return {"media": media, "boxes": boxes, "height": height, "shown": may_see_private or not withheld}


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    answers = [
        {"status": status, "text": answer.get("description", "")}
        for status, answer in operation.get("responses", {}).items()
    ]
    return {
        "id": operation["operationId"],
        "summary": operation.get("summary", ""),
        "text": operation.get("description", ""),
        "parameters": [
            {
                "name": each["name"],
                "where": each["in"],
                "required": each.get("required", False),
                "text": each.get("description", ""),
            }
            for each in operation.get("parameters", [])
        ],
        "takes": ", ".join(operation.get("requestBody", {}).get("content", {})),
        "answers": answers,
    }
