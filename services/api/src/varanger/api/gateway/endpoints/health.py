"""`/livez` (progress, never the database), `/readyz` (everything behind the gateway), `/metrics`."""

from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from varanger.api.gateway.security import GatewayDep

router = APIRouter(tags=["health"])


@router.get("/livez", responses={503: {"description": "Work stands still; a restart is right"}})
async def live(gateway: GatewayDep, response: Response) -> dict[str, Any]:
    """Whether uploads that are wholly here are still being settled."""
    good, body = gateway.health.live()
    response.status_code = 200 if good else 503
    return body


@router.get("/readyz", responses={503: {"description": "Something behind the gateway does not answer"}})
async def ready(gateway: GatewayDep, response: Response) -> dict[str, Any]:
    """Whether catalog, object store and bus answer."""
    good, body = await gateway.health.ready()
    response.status_code = 200 if good else 503
    return body


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def prometheus() -> Response:
    """docs/metrics.md says what each means."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
