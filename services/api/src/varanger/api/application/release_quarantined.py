"""Sending a quarantined file back to ingest, with what a person says of it: nothing is lost, and nothing is final.

From then on it is pending, and whatever earlier intakes still have to say of it is void (`intake_number`).
"""

from uuid import UUID

from varanger.api import SERVICE
from varanger.api.adapters import deployment_rows
from varanger.api.adapters.quarantine_rows import HeldFile, close_ingest_letters
from varanger.api.application.known_media import KnownMedia
from varanger.api.application.upload_fact import upload_fact
from varanger.common.catalog.database import Catalog
from varanger.common.catalog.history import remember
from varanger.common.catalog.outbox import send
from varanger.common.clock import now
from varanger.common.errors import VarangerError
from varanger.common.messages import Mend
from varanger.common.words import MediaState


class NotQuarantined(VarangerError):
    """The file is elsewhere: what there was to mend is mended, or was sent back already."""

    def __init__(self, state: MediaState) -> None:
        super().__init__(f"this file is {state.value!r}, not quarantined")
        self.state = state


class DeploymentUnknown(VarangerError):
    """The project has no such deployment."""


async def release_quarantined(
    catalog: Catalog, media_id: UUID, mend: Mend, *, deployment_id: str | None, by: str
) -> HeldFile:
    """Send it to ingest again. Of two who do so at once one wins.

    Args:
        catalog: where it is quarantined.
        media_id: which file, of those that were accepted.
        mend: what the person says of it. It takes the place of what was said before.
        deployment_id: whose file it is really; None: it stays with its deployment.
        by: who.

    Raises:
        NotQuarantined: it is not there, or not any more.
        DeploymentUnknown: the project has none of this name.
    """
    async with catalog.writing() as session:
        known = await KnownMedia.read(session, [media_id])
        upload, held = known.uploads[media_id], known.quarantined.get(media_id)
        if held is None or upload.state != MediaState.QUARANTINED:
            raise NotQuarantined(MediaState(upload.state))
        deployment = await deployment_rows.find(session, upload.project_id, deployment_id or upload.deployment_id)
        if deployment is None:
            raise DeploymentUnknown(f"deployment: project {upload.project_id!r} has none called {deployment_id!r}")
        upload.deployment_id = held.deployment_id = deployment.deployment_id
        upload.intake_number += 1
        # Its first object may be swept at any moment; this one only when the file is recorded as stored.
        upload.incoming_key, upload.swept_at = held.key, None
        held.mend, held.released_at = mend.model_dump(mode="json"), now()
        await close_ingest_letters(session, media_id)
        known.dead.discard(media_id)
        send(session, SERVICE, [upload_fact(upload, deployment, mend=mend)])
        remember(session, upload.project_id, media_id, "released", by, deployment=upload.deployment_id, **held.mend)
        known.settle(media_id)
        return HeldFile(upload, held)
