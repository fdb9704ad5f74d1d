"""Releases that were registered become rows. After a promotion the media that waited for it are asked for, and those it
has answered show it."""

from collections.abc import Sequence

from varanger.api import PRODUCER
from varanger.api.application.promote_release import promote
from varanger.api.application.request_classification import request_waiting
from varanger.api.application.show_answers import show_in_force
from varanger.common.catalog.database import Catalog, WriteSession
from varanger.common.catalog.tables import Project, Release
from varanger.common.catalog.upsert import insert_ignore
from varanger.common.clock import now
from varanger.common.consumer import Handler
from varanger.common.errors import BadMessage, ReleaseInvalid
from varanger.common.messages import Envelope, ReleasePromoted, ReleaseRegistered
from varanger.common.releases import parse_manifest


def release_recorder(catalog: Catalog) -> Handler:
    """The handler of the queues `releases` and `promotions`."""

    async def record(envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
        for envelope in envelopes:
            match envelope.payload:
                case ReleaseRegistered():
                    async with catalog.writing() as session:
                        await register(session, envelope.project_id, envelope.payload)
                case ReleasePromoted():
                    await request_waiting(catalog, envelope.project_id)
                    await show_in_force(catalog, envelope.project_id)
                case _:
                    raise BadMessage(f"type: the release recorder takes no {envelope.type}")
        return ()

    return record


async def register(session: WriteSession, project_id: str, fact: ReleaseRegistered) -> None:
    """Write the release's row; put it in force where the fact asks for it and the project has none.

    Raises:
        BadMessage: the manifest does not hold together, is not the one named, or the project is unknown.
    """
    try:
        manifest = parse_manifest(fact.manifest)
    except ReleaseInvalid as error:
        raise BadMessage(f"manifest: {error}") from error
    if manifest.release_id != fact.release_id:
        raise BadMessage(f"release_id: the manifest's own id is {manifest.release_id}, not {fact.release_id}")
    project = await session.get(Project, project_id, with_for_update=True)
    if project is None:
        raise BadMessage(f"project_id: there is no project {project_id!r}")
    row = {
        "project_id": project_id,
        "release_id": fact.release_id,
        "name": manifest.name,
        "kind": manifest.kind,
        "manifest": fact.manifest,
        "run_id": fact.run_id,
        "registered_at": now(),
    }
    await session.execute(insert_ignore(session, Release).values(row))
    if fact.promote and project.release_id is None:
        await promote(session, project_id, fact.release_id, expected=None, by=PRODUCER)
