"""Files that are still on their way in pieces: what tus and presigned uploads share, above all how one ends.

A row in `partial_upload` says what was announced and how far it is. It ends once: either its bytes are a file like any
other, recorded in the very transaction that makes the row `done`, or it is `gone`, with the reason.
"""

from dataclasses import dataclass
from uuid import UUID

from varanger.api.adapters import partial_rows
from varanger.api.application.accept_upload import Placed, ReceivedFile, Sender, Verdict, accept_upload, incoming_key
from varanger.common.catalog import Catalog
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.tables import PartialUpload
from varanger.common.clock import now
from varanger.common.ports.objects import Joined, ObjectStore
from varanger.common.telemetry import metrics

DIRECT = "direct/"
NO_LONGER_THERE = "this upload was ended, or has expired; begin a new one"


class UploadGone(Exception):
    """It was ended, has expired, or its bytes were wrong; the text says which."""


class WrongBytes(UploadGone):
    """The whole file is not what was announced. Nothing of it counts, and the upload is gone."""


class _Ended(Exception):
    """Another request ended the upload first."""


@dataclass(frozen=True)
class Ports:
    """Where rows and bytes go."""

    catalog: Catalog
    objects: ObjectStore


def folder_of(upload: PartialUpload) -> str:
    """The prefix of a tus upload's pieces."""
    return f"partial/{upload.project_id}/{upload.upload_id}/"


def direct_key(upload: PartialUpload) -> str:
    """Where a presigned upload's parts become one object: nobody but its client writes there."""
    return f"{DIRECT}{upload.project_id}/{upload.upload_id}"


async def find_upload(ports: Ports, upload_id: UUID, kind: str, key_id: UUID | None) -> PartialUpload | None:
    """The upload that this key began, or None.

    Raises:
        UploadGone: there was one.
    """
    async with ports.catalog.reading() as session:
        upload = await partial_rows.find(session, upload_id, kind, key_id)
    if upload is not None and (upload.state == "gone" or upload.expires_at <= now()):
        raise UploadGone((upload.verdict or {}).get("reason", NO_LONGER_THERE))
    return upload


def verdict_of(upload: PartialUpload) -> Verdict | None:
    """What became of the file; None while the upload is open."""
    if upload.verdict is None:
        return None
    told = upload.verdict
    return Verdict(told["file"], told["verdict"], UUID(told["media_id"]), told["sha256"], told["reason"])


async def count_whole(ports: Ports, upload: PartialUpload, sender: Sender, media_id: UUID, found: Joined) -> Verdict:
    """Make a file of bytes that lie under the incoming key of `media_id`, and were read there as `found`.

    Of two requests that come so far at once one records its bytes; the other removes its own and tells the same.

    Raises:
        WrongBytes: they are not what was announced.
        UploadGone: the upload was ended meanwhile.
        DependencyDown: nothing was recorded; the upload is still open.
    """
    wrong = _what_is_wrong(upload, found)
    if wrong:
        await ports.objects.delete(incoming_key(upload.project_id, media_id))
        async with ports.catalog.writing() as session:
            await partial_rows.end(session, upload.upload_id, "gone", {"reason": wrong})
        raise WrongBytes(wrong)

    async def end_it(session: WriteSession, verdicts: list[Verdict]) -> None:
        [told] = verdicts
        kept = {
            "file": told.file,
            "verdict": told.verdict,
            "media_id": str(told.media_id),
            "sha256": told.sha256,
            "reason": told.reason,
        }
        if not await partial_rows.end(session, upload.upload_id, "done", kept):
            raise _Ended

    file = ReceivedFile(upload.original_path, Placed(media_id), found.sha256, found.bytes)
    try:
        [verdict] = await accept_upload(ports.catalog, ports.objects, sender, [file], end_it)
    except _Ended:
        return await told_again(ports, upload)
    metrics.UPLOADS.labels(verdict.verdict).inc()
    metrics.UPLOADED_BYTES.inc(found.bytes)
    return verdict


async def told_again(ports: Ports, upload: PartialUpload) -> Verdict:
    """The verdict that another request came to.

    Raises:
        UploadGone: it came to none.
    """
    again = await find_upload(ports, upload.upload_id, upload.kind, upload.key_id)
    verdict = verdict_of(again) if again is not None else None
    if verdict is None:
        raise UploadGone(NO_LONGER_THERE)
    return verdict


def _what_is_wrong(upload: PartialUpload, found: Joined) -> str:
    name = upload.original_path
    if upload.bytes != found.bytes:
        return f"{name!r} has {found.bytes} bytes, announced were {upload.bytes}; nothing was kept, begin a new upload"
    if upload.sha256 not in (None, found.sha256):
        return (
            f"{name!r} has sha256 {found.sha256}, announced was {upload.sha256}; nothing was kept. Read the file "
            "again: it may have changed, or been damaged on the way"
        )
    return ""
