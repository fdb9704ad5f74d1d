"""Problem details (RFC 9457): every error of the API has one shape, names what is wrong, and where it can the fix."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from varanger.common.errors import DependencyDown

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 5
_TUS_TITLES = {460: "Checksum Mismatch"}
"""tus has a status code that HTTP does not know."""

log = structlog.get_logger("varanger.api")


class Problem(Exception):
    """An error with its answer. `members` are RFC 9457 extension members."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    def to_response(self, instance: str) -> JSONResponse:
        """The answer; `instance` is the path that was asked for."""
        body = {
            "type": "about:blank",
            "title": _TUS_TITLES.get(self.status) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            **self.members,
        }
        return JSONResponse(body, self.status, self.headers, media_type=PROBLEM_JSON)


def not_found(what: str, name: object) -> Problem:
    """404 for a thing that is asked for by its name."""
    return Problem(404, f"there is no {what} {str(name)!r}")


def unavailable(error: DependencyDown) -> Problem:
    """503: nothing was recorded, the same request can be sent again."""
    return Problem(
        503,
        f"a service behind the gateway does not answer ({error}); nothing was recorded, send it again",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def as_problem(error: Problem | HTTPException | DependencyDown) -> Problem:
    """What middleware, which no handler below stands around, answers to these."""
    match error:
        case DependencyDown():
            return unavailable(error)
        case HTTPException():
            return Problem(error.status_code, error.detail, headers=error.headers)
    return error


def invalid(errors: Iterable[Mapping[str, Any]]) -> Problem:
    """422 from pydantic's errors: `errors[{field, problem}]`, and all of it as one sentence."""
    named = [{"field": _field(error), "problem": _problem(error)} for error in errors]
    return Problem(422, "; ".join(f"{each['field']}: {each['problem']}" for each in named), errors=named)


def _field(error: Mapping[str, Any]) -> str:
    # Of what is no JSON, the place is a number of bytes.
    return "body" if error["type"] == "json_invalid" else ".".join(map(str, _within(error["loc"]))) or "body"


def _problem(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return f"it is no JSON: {error['ctx']['error']} (at {error['loc'][-1]})"
    if error["loc"] == ("body",):
        return f"{error['msg']}; send JSON, with Content-Type: application/json"
    return str(error["msg"]).removeprefix("Value error, ")


def _within(place: tuple[Any, ...]) -> tuple[Any, ...]:
    """Where in the body or the query it is: the first part alone says which of them; a field may be called `path`."""
    return place[1:] if place[:1] in {("body",), ("query",), ("path",)} else place


def install_problem_handlers(app: FastAPI) -> None:
    """Every way an endpoint can fail ends here."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return error.to_response(request.url.path)

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> Response:
        return invalid(error.errors()).to_response(request.url.path)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return as_problem(error).to_response(request.url.path)

    @app.exception_handler(DependencyDown)
    async def _dependency(request: Request, error: DependencyDown) -> Response:
        log.warning("request.dependency_down", path=request.url.path, error=str(error))
        return unavailable(error).to_response(request.url.path)

    @app.exception_handler(DataError)
    async def _data(request: Request, error: DataError) -> Response:
        # What a database cannot hold: a NUL in a text, a number beyond its column.
        log.info("request.unstorable", path=request.url.path, error=str(error.orig))
        return Problem(422, f"a value cannot be stored or compared: {error.orig}").to_response(request.url.path)

    @app.exception_handler(ClientDisconnect)
    async def _disconnect(request: Request, error: ClientDisconnect) -> Response:
        # Nobody is there to read it; the answer only keeps a cut connection from looking like a fault of ours.
        log.info("request.client_left", path=request.url.path)
        return Problem(400, "the connection was cut before the body ended").to_response(request.url.path)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        log.error("request.failed", path=request.url.path, exc_info=error)
        return Problem(500, "something went wrong here; the log of the gateway knows what").to_response(
            request.url.path
        )
