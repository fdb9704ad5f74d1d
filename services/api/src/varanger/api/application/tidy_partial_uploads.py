"""Uploads in pieces that have expired: what the store holds of them goes, then their rows."""

from datetime import timedelta
from uuid import UUID

from varanger.api.adapters import partial_rows
from varanger.api.application import direct_upload, resumable_upload
from varanger.api.application.partial_uploads import DIRECT, Ports
from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import PartialUpload
from varanger.common.clock import now
from varanger.common.ports.direct_uploads import DirectUploads
from varanger.common.ports.objects import ObjectStore

CHUNK = 200
ROW_KEPT = timedelta(days=1)
"""Beyond its end: what a request wrote that was under way then is looked for again."""


async def tidy_partial_uploads(catalog: Catalog, objects: ObjectStore, rowless_after_s: float) -> None:
    """Remove what is left of expired uploads. A file that one has become stays."""
    ports = Ports(catalog, objects)
    after: UUID | None = None
    while True:
        async with catalog.reading() as session:
            found = await partial_rows.expired(session, now(), after, CHUNK)
        for upload in found:
            await _remove(ports, upload)
        if len(found) < CHUNK:
            break
        after = found[-1].upload_id
    if objects.direct is not None:
        await _abort_rowless(ports, objects.direct, rowless_after_s)
        await _abort_cut_off(objects.direct, rowless_after_s)


async def _remove(ports: Ports, upload: PartialUpload) -> None:
    async with ports.catalog.writing() as session:
        await partial_rows.forget(session, upload.upload_id)
    if upload.kind == resumable_upload.KIND:
        await resumable_upload.remove_pieces(ports, upload)
    elif ports.objects.direct is not None:
        await direct_upload.remove_direct(ports, ports.objects.direct, upload)
    if upload.expires_at + ROW_KEPT < now():
        async with ports.catalog.writing() as session:
            await partial_rows.remove(session, upload.upload_id)


async def _abort_rowless(ports: Ports, direct: DirectUploads, after_s: float) -> None:
    """Begun in the store, and then cut off before their row was committed."""
    limit = now() - timedelta(seconds=after_s)
    for begun in await direct.begun(DIRECT):
        if begun.begun_at >= limit:
            continue
        async with ports.catalog.reading() as session:
            known = await session.get(PartialUpload, UUID(begun.key.rsplit("/", 1)[-1]))
        if known is None:
            await direct.abort(begun.key, begun.store_upload_id)


async def _abort_cut_off(direct: DirectUploads, after_s: float) -> None:
    """Large files on their way to `incoming/` when their gateway was killed: the store would keep their parts."""
    limit = now() - timedelta(seconds=after_s)
    for begun in await direct.begun("incoming/"):
        if begun.begun_at < limit:
            await direct.abort(begun.key, begun.store_upload_id)
