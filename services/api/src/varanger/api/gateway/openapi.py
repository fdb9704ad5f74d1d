"""The OpenAPI document: what the endpoints take and give, with the key, and problem details for every error."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from varanger.api import __version__
from varanger.api.gateway.idempotency import KEY_PATTERN
from varanger.api.gateway.problems import PROBLEM_JSON

DESCRIPTION = """Camera-trap images from the field to a quality-checked dataset.

Every request carries `Authorization: Bearer <key>` (`varanger key create`). Every error is a problem detail (RFC 9457).
A `traceparent` is taken from the request and followed through all services."""

_OPEN = frozenset({"health", "pages"})
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `detail` says what is wrong and, where it can, what to do.",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
}
_ANSWER = {"content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 visible ASCII characters. The same request under the same key is carried out once and "
    "answered the same again, with `Idempotent-Replayed: true`; 409 while it is in progress, 422 for another request",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of this app."""
    document = get_openapi(title=app.title, version=__version__, description=DESCRIPTION, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for operations in document["paths"].values():
        for method, operation in operations.items():
            _complete(operation)
            if method == "post":
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    return document


def _complete(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    if not _OPEN & set(operation.get("tags", [])):
        operation["security"] = [{"key": []}]
        responses["default"] = {"description": "A problem", **_ANSWER}
    for status, response in responses.items():
        if status.startswith(("4", "5")):
            response.update(_ANSWER)
