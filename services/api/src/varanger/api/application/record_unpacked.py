"""An archive was unpacked: each file in it becomes an upload of its own.

In the transaction that stops counting the archive, so that counts add up at every moment: one file before, its entries
after.
"""

from varanger.api.adapters import upload_rows
from varanger.api.application.accept_upload import record_received
from varanger.api.application.known_media import KnownMedia
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.history import remember
from varanger.common.catalog.tables import Upload
from varanger.common.messages import Envelope, MediaUnpacked, UnpackedEntry
from varanger.common.words import MediaState

AT_ONCE = 100
"""Entries recorded before others on the event loop get their turn."""


async def record_unpacked(session: WriteSession, known: KnownMedia, envelope: Envelope, fact: MediaUnpacked) -> None:
    """Record the entries, once. One whose content is known, or came earlier in the archive, is a duplicate."""
    archive = known.uploads[fact.media_id]
    if archive.state == MediaState.UNPACKED or fact.media_id in known.media:
        return
    deployment = known.deployments[archive.project_id, archive.deployment_id]
    # In order of their hashes, like every insert of uploads, so that nobody waits for another in a circle.
    entries = sorted(fact.entries, key=lambda entry: entry.sha256)
    new = 0
    for start in range(0, len(entries), AT_ONCE):
        some = [_upload(archive, entry) for entry in entries[start : start + AT_ONCE]]
        won = await upload_rows.insert_first(session, some)
        first = await upload_rows.by_content(session, archive.project_id, {upload.sha256 for upload in some})
        record_received(session, some, won, first, deployment=deployment, by=envelope.producer)
        await session.flush()
        new += len(won)
    archive.state = MediaState.UNPACKED
    remember(
        session, archive.project_id, archive.media_id, "unpacked", envelope.producer, entries=len(entries), new=new
    )


def _upload(archive: Upload, entry: UnpackedEntry) -> Upload:
    return Upload(
        **entry.model_dump(),
        project_id=archive.project_id,
        deployment_id=archive.deployment_id,
        lane=archive.lane,
        state=MediaState.PENDING,
        archive_id=archive.media_id,
        job_id=archive.job_id,
        traceparent=archive.traceparent,
    )
