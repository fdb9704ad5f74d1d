"""Uploads in pieces, as the endpoints find them: only with the key that began them."""

from typing import Any
from uuid import UUID

from varanger.api.application.partial_uploads import Ports, UploadGone, find_upload
from varanger.api.domain.access import Caller
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.problems import Problem, not_found
from varanger.common.catalog.tables import PartialUpload

NOT_THERE: dict[int | str, dict[str, Any]] = {
    404: {"description": "There is no such upload of this key"},
    410: {"description": "It was ended, has expired, or was refused"},
}


def ports_of(gateway: Gateway) -> Ports:
    """Where its rows and bytes are."""
    return Ports(gateway.catalog, gateway.objects)


async def begun_upload(gateway: Gateway, caller: Caller, upload_id: UUID, kind: str) -> PartialUpload:
    """The upload, or Problem 404; 410 where it was and is no more."""
    try:
        found = await find_upload(ports_of(gateway), upload_id, kind, caller.key_id)
    except UploadGone as error:
        raise Problem(410, str(error)) from error
    if found is None:
        raise not_found("upload", upload_id)
    return found
