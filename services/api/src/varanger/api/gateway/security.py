"""`Authorization: Bearer <key>` on every request, checked before the first byte of a body is read.

Two ways in exist for looking only, never for changing anything (a browser sends both without being asked, so a
foreign page could make it):

- `Authorization: Basic` with the key as the password, which is what a browser's own dialogue sends;
- with `local_reader` (the embedded mode), no key at all for a person on this very machine: from a loopback address,
  asking for a loopback host name (so that no foreign name can be pointed at us), and through no proxy.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from varanger.api.application.keys import find_caller
from varanger.api.domain.access import EVERY_PROJECT, Caller, Scope
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.limits import Limits
from varanger.api.gateway.problems import Problem

LOCAL_READER = Caller("local reader", EVERY_PROJECT, frozenset({Scope.READ}))
_LOOKING = frozenset({"GET", "HEAD"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def get_gateway(request: Request) -> Gateway:
    """The gateway this request came to."""
    gateway: Gateway = request.app.state.gateway
    return gateway


GatewayDep = Annotated[Gateway, Depends(get_gateway)]


async def get_caller(request: Request, gateway: GatewayDep) -> Caller:
    """Who is asking.

    Whoever asks first finds out and is counted; the middleware around the endpoints asks too (`idempotency.py`).

    Raises:
        Problem: 401 without a key, or with one that does not exist; 429 for one that asked for too much.
        DependencyDown: the catalog does not answer.
    """
    known: Caller | None = getattr(request.state, "caller", None)
    if known is not None:
        return known
    caller = await _find_caller(request, gateway)
    limits: Limits = request.app.state.limits
    limits.admit(caller, request.scope)
    request.state.caller = caller
    return caller


async def _find_caller(request: Request, gateway: Gateway) -> Caller:
    looking = request.method in _LOOKING
    key = _given_key(request.headers.get("authorization"), looking=looking)
    if key is None:
        if gateway.local_reader and looking and is_local(request):
            return LOCAL_READER
        raise _unauthorized("no key: send `Authorization: Bearer <key>` (`varanger key create` makes one)", request)
    caller = await find_caller(gateway.catalog, key)
    if caller is None:
        raise _unauthorized("this key does not exist or was revoked", request)
    return caller


CallerDep = Annotated[Caller, Depends(get_caller)]


def require(scope: Scope) -> Callable[[Request, Caller], Awaitable[Caller]]:
    """A dependency: the caller's key must allow `scope`, in the project of the path where there is one."""

    async def checked(request: Request, caller: CallerDep) -> Caller:
        check(caller, scope, request.path_params.get("project"))
        return caller

    return checked


Uploader = Annotated[Caller, Depends(require(Scope.UPLOAD))]
Reader = Annotated[Caller, Depends(require(Scope.READ))]
Reviewer = Annotated[Caller, Depends(require(Scope.REVIEW))]
Admin = Annotated[Caller, Depends(require(Scope.ADMIN))]


def check(caller: Caller, scope: Scope, project_id: str | None) -> None:
    """Raises Problem 403 where the key does not allow it."""
    if not caller.may(scope):
        raise Problem(403, f"this key has no {str(scope)!r} scope")
    if not caller.may(scope, project_id):
        raise Problem(403, f"this key is not for the project {project_id!r}")


def is_local(request: Request) -> bool:
    """Whether a person on this machine asks, through no proxy, by a name of this machine."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    return _is_loopback(request.client.host) and _is_loopback(_host_name(request.headers.get("host", "")))


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _given_key(authorization: str | None, *, looking: bool) -> str | None:
    kind, _, credentials = (authorization or "").partition(" ")
    match kind.lower():
        case "bearer":
            return credentials.strip()
        case "basic" if looking:
            try:
                return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return ""
    return None


def _unauthorized(detail: str, request: Request) -> Problem:
    # A browser that asks for a page shows its own dialogue; programs are told what the API wants.
    wants_page = request.method in _LOOKING and "text/html" in request.headers.get("accept", "")
    scheme = 'Basic realm="Varanger: any name, the key as password"' if wants_page else 'Bearer realm="varanger"'
    return Problem(401, detail, headers={"WWW-Authenticate": scheme})
