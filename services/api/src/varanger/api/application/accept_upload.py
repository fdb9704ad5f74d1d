"""Accept files (promise 1): bytes durable in the object store first, then their rows and messages in one transaction.

A file's content is unique per project. Of two requests that bring the same content at once the database lets one win;
the loser removes its own object, and nobody else's, and answers `duplicate`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

import structlog

from varanger.api import SERVICE
from varanger.api.adapters import upload_rows
from varanger.api.application.upload_fact import upload_fact
from varanger.api.domain.names import last_name, safe_path
from varanger.common.catalog import Catalog
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.history import remember
from varanger.common.catalog.outbox import send
from varanger.common.catalog.tables import Deployment, Upload
from varanger.common.clock import now
from varanger.common.errors import DependencyDown
from varanger.common.ids import new_id
from varanger.common.ports.objects import ObjectStore
from varanger.common.words import Lane, MediaState

PUTS_AT_ONCE = 8


log = structlog.get_logger("varanger.api")


@dataclass(frozen=True)
class Placed:
    """Bytes that are in the store already, under the incoming key of this media id, where nobody else writes."""

    media_id: UUID


@dataclass(frozen=True)
class ReceivedFile:
    """A file that is wholly here, with the path its client gave it. `sha256` and `bytes` were read off `source`."""

    given_path: str
    source: Path | Placed
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Sender:
    """For which deployment, on which lane, by whom, in which trace."""

    deployment: Deployment
    lane: Lane
    by: str
    traceparent: str


@dataclass(frozen=True)
class Verdict:
    """What became of one file. For a duplicate, `media_id` is the file's that was here first."""

    file: str
    verdict: Literal["accepted", "duplicate"]
    media_id: UUID
    sha256: str
    reason: str = ""


Beside = Callable[[WriteSession, list[Verdict]], Awaitable[None]]
"""What else is written in the transaction that accepts files; what it raises undoes that."""


def incoming_key(project_id: str, media_id: UUID) -> str:
    """Where a file's bytes wait for ingest. Without an upload row they are swept after a day."""
    return f"incoming/{project_id}/{media_id}"


async def accept_upload(
    catalog: Catalog,
    objects: ObjectStore,
    sender: Sender,
    files: Sequence[ReceivedFile],
    beside: Beside | None = None,
    *,
    new: bool = False,
) -> list[Verdict]:
    """Take files, all or none; one verdict each, in order. Of placed files that are not taken the object is removed.

    `new`: the caller has just asked, and the project has none of them. What came since is told apart all the same, as
    by `offer_again`.

    Raises:
        DependencyDown: store or catalog did not answer; no row was written, the same files can be sent again.
    """
    uploads = [_upload(sender, file.given_path, file.sha256, file.bytes, _media_id(file)) for file in files]
    project_id = sender.deployment.project_id
    contents = {file.sha256 for file in files}
    known = set() if new else await _known(catalog, project_id, contents)
    fresh = {upload.sha256: upload for upload in reversed(uploads) if upload.sha256 not in known}
    sources = {upload.media_id: file.source for upload, file in zip(uploads, files, strict=True)}
    wanted = [(upload.incoming_key, sources[upload.media_id]) for upload in fresh.values()]
    placed = [upload for upload in uploads if isinstance(sources[upload.media_id], Placed)]
    ours = {upload.media_id: upload.incoming_key for upload in (*fresh.values(), *placed)}
    all_recorded = False
    try:
        await _put_all(objects, [(key, source) for key, source in wanted if isinstance(source, Path)])
        async with catalog.writing() as session:
            won = await upload_rows.insert_first(session, list(fresh.values()))
            first = {upload.sha256: upload.media_id for upload in fresh.values() if upload.media_id in won}
            if lost := contents - first.keys():
                first |= await upload_rows.by_content(session, project_id, lost)
            offered = uploads if not new else [each for each in uploads if await _leaves_a_trace(session, each, first)]
            record_received(session, offered, won, first, deployment=sender.deployment, by=sender.by)
            verdicts = [_verdict(upload, won, first) for upload in uploads]
            if beside is not None:
                await beside(session, verdicts)
            await session.flush()
            all_recorded = True
    except BaseException:
        # A connection lost in the very commit may have committed: then the objects must stay. What turns out to
        # have no row is swept after a day.
        if not all_recorded:
            await _remove(objects, ours.values())
        raise
    await _remove(objects, (key for media_id, key in ours.items() if media_id not in won))
    return verdicts


async def place(
    objects: ObjectStore, sender: Sender, given_path: str, chunks: AsyncIterator[bytes], sha256: str
) -> ReceivedFile:
    """Bring a file into the store as it comes. `accept_upload` takes it, or removes it.

    Raises:
        ContentDiffers: it has another sha256; nothing was kept.
        DependencyDown: the store did not answer.
        Exception: whatever the chunks raised; nothing was kept.
    """
    source = Placed(new_id())
    key = incoming_key(sender.deployment.project_id, source.media_id)
    try:
        size = await objects.put_stream(key, chunks, sha256=sha256)
    except (DependencyDown, asyncio.CancelledError):
        await _remove(objects, [key])  # it may be there for all that
        raise
    return ReceivedFile(given_path, source, sha256, size)


async def offer_again(catalog: Catalog, sender: Sender, given_path: str, sha256: str) -> Verdict | None:
    """Record that content which the project has was offered once more, without its bytes; None: it has it not.

    Offered from a deployment and path that it is recorded with already, it leaves no trace: that is a retry.

    Raises:
        DependencyDown: the catalog did not answer; no row was written.
    """
    async with catalog.reading() as session:
        known = await upload_rows.first_of(session, sender.deployment.project_id, sha256)
        if known is None:
            return None
        upload = _upload(sender, given_path, sha256, known.bytes, new_id())
        recorded = await upload_rows.is_recorded(session, upload, known.media_id)
    first = {sha256: known.media_id}
    if not recorded:
        async with catalog.writing() as session:
            if await _leaves_a_trace(session, upload, first):
                record_received(session, [upload], set(), first, deployment=sender.deployment, by=sender.by)
    return _verdict(upload, set(), first)


async def _leaves_a_trace(session: WriteSession, upload: Upload, first: dict[str, UUID]) -> bool:
    """Whether it is the first of its content, or comes from where that did not come from before."""
    of = first[upload.sha256]
    if of == upload.media_id:
        return True
    await upload_rows.wait_for_turn(session, of)
    return not await upload_rows.is_recorded(session, upload, of)


async def _known(catalog: Catalog, project_id: str, contents: set[str]) -> set[str]:
    async with catalog.reading() as session:
        return set(await upload_rows.by_content(session, project_id, contents))


def _media_id(file: ReceivedFile) -> UUID:
    return file.source.media_id if isinstance(file.source, Placed) else new_id()


def _upload(sender: Sender, given_path: str, sha256: str, size: int, media_id: UUID) -> Upload:
    path = safe_path(given_path)
    project_id = sender.deployment.project_id
    return Upload(
        media_id=media_id,
        project_id=project_id,
        deployment_id=sender.deployment.deployment_id,
        sha256=sha256,
        bytes=size,
        original_name=last_name(path),
        original_path=path,
        incoming_key=incoming_key(project_id, media_id),
        lane=sender.lane,
        state=MediaState.PENDING,
        traceparent=sender.traceparent,
    )


def record_received(
    session: WriteSession,
    uploads: Iterable[Upload],
    won: set[UUID],
    first: dict[str, UUID],
    *,
    deployment: Deployment,
    by: str,
) -> None:
    """Messages for the winners, rows for the duplicates, a line of history for both.

    Args:
        session: where the winners were inserted.
        uploads: all of one deployment.
        won: the media ids of those whose content is new.
        first: the media id that each content has.
        deployment: theirs.
        by: who brought them.
    """
    for upload in uploads:
        come_by = {} if upload.archive_id is None else {"archive": str(upload.archive_id)}
        if upload.media_id in won:
            send(session, SERVICE, [upload_fact(upload, deployment)])
            remember(
                session,
                upload.project_id,
                upload.media_id,
                "received",
                by,
                original_path=upload.original_path,
                sha256=upload.sha256,
                bytes=upload.bytes,
                deployment=upload.deployment_id,
                **come_by,
            )
            continue
        # What was sent has no object of its own then: nothing to ingest, nothing to sweep. What an archive held has.
        swept = {} if come_by else {"incoming_key": "", "swept_at": now()}
        fields = {"state": MediaState.DUPLICATE, "duplicate_of": first[upload.sha256], **swept}
        session.add(Upload(**upload.model_dump() | fields))
        remember(
            session,
            upload.project_id,
            first[upload.sha256],
            "offered_again",
            by,
            original_path=upload.original_path,
            deployment=upload.deployment_id,
            **come_by,
        )


def _verdict(upload: Upload, won: set[UUID], first: dict[str, UUID]) -> Verdict:
    file = upload.original_path or upload.original_name
    if upload.media_id in won:
        return Verdict(file, "accepted", upload.media_id, upload.sha256)
    return Verdict(
        file, "duplicate", first[upload.sha256], upload.sha256, "the project has a file with the same content"
    )


async def _put_all(objects: ObjectStore, wanted: Iterable[tuple[str, Path]]) -> None:
    """Put all, a few at once. When one fails the others have ended too, so that none appears after the removal."""
    turns = asyncio.Semaphore(PUTS_AT_ONCE)

    async def put(key: str, path: Path) -> None:
        async with turns:
            await objects.put(key, path)

    for outcome in await asyncio.gather(*(put(*each) for each in wanted), return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _remove(objects: ObjectStore, keys: Iterable[str]) -> None:
    for key in keys:
        try:
            await objects.delete(key)
        except DependencyDown as error:
            log.warning("upload.object_left_to_the_sweeper", key=key, error=str(error))
