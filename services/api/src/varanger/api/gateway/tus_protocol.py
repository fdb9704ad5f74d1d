"""tus 1.0.0 as headers: what they may say, and what every answer carries. https://tus.io/protocols/resumable-upload"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from email.utils import format_datetime
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from varanger.api.application.resumable_upload import CHECKSUMS, Checksum
from varanger.api.domain.access import Caller
from varanger.api.gateway.problems import Problem
from varanger.api.gateway.security import Uploader
from varanger.common.catalog.tables import PartialUpload

PATH = "/v1/uploads/tus"
VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination,checksum"
BYTES = "application/offset+octet-stream"
CHECKSUM_MISMATCH = 460
"""No code of HTTP's own: the protocol's checksum extension made it."""


class Tus:
    """ASGI middleware: `X-HTTP-Method-Override` is the method, and every answer says `Tus-Resumable`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not (scope["path"] == PATH or scope["path"].startswith(f"{PATH}/")):
            await self._app(scope, receive, send)
            return
        override = dict(scope["headers"]).get(b"x-http-method-override")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {
                    **message,
                    "headers": [*message.get("headers", ()), (b"tus-resumable", VERSION.encode())],
                }
            await send(message)

        if override:
            scope = {**scope, "method": override.decode("latin-1").upper()}
        await self._app(scope, receive, answer)


async def tus_caller(request: Request, caller: Uploader) -> Caller:
    """Who is asking, in a version of the protocol that is spoken here. Raises Problem 412."""
    said = request.headers.get("tus-resumable")
    if said != VERSION:
        raise Problem(
            412,
            f"Tus-Resumable is {said!r}; send the version that is spoken here, {VERSION}",
            headers={"Tus-Version": VERSION},
        )
    return caller


TusCaller = Annotated[Caller, Depends(tus_caller)]


def number(headers: Mapping[str, str], name: str) -> int:
    """A header that is a number of bytes. Raises Problem 400."""
    text = headers.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Problem(400, f"{name} is {text[:40]!r}; send a number of bytes")
    return int(text)


def check_content_type(headers: Mapping[str, str]) -> None:
    """Raises Problem 415 unless the body is bytes of the file."""
    if headers.get("content-type") != BYTES:
        raise Problem(415, f"Content-Type is {headers.get('content-type')!r}; send the bytes as {BYTES}")


def metadata(text: str) -> dict[str, str]:
    """`Upload-Metadata`: `key base64,key base64`. Raises Problem 400."""
    found: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = pair.partition(" ")
        try:
            found[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Problem(400, f"Upload-Metadata: {name[:80]!r} is not UTF-8 in base64 ({error})") from error
    return found


def checksum(text: str | None) -> Checksum | None:
    """`Upload-Checksum`: `algorithm base64`. Raises Problem 400."""
    if text is None:
        return None
    algorithm, _, value = text.partition(" ")
    if algorithm not in CHECKSUMS:
        raise Problem(400, f"Upload-Checksum: {algorithm[:40]!r} is not known here; use one of {', '.join(CHECKSUMS)}")
    try:
        digest = base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise Problem(400, f"Upload-Checksum: the checksum is not base64 ({error})") from error
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise Problem(400, f"Upload-Checksum: {len(digest)} bytes are no {algorithm}")
    return Checksum(algorithm, digest)


def standing(upload: PartialUpload) -> dict[str, str]:
    """How far an upload is, and what became of it when it is done."""
    headers = {"Upload-Offset": str(upload.offset), "Upload-Expires": format_datetime(upload.expires_at, usegmt=True)}
    if upload.verdict is not None:
        headers["Varanger-Verdict"] = upload.verdict["verdict"]
        headers["Varanger-Media-Id"] = upload.verdict["media_id"]
        headers["Varanger-Sha256"] = upload.verdict["sha256"]
    return headers
