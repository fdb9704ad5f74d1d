"""Queries on jobs, QC rounds and their tasks, reviews of a round, and releases."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from varanger.common.catalog.database import ReadSession
from varanger.common.catalog.tables import Job, Media, Promotion, QcRound, QcTask, Release, Review
from varanger.common.words import JobKind


@dataclass(frozen=True)
class OpenTask:
    """One drawn media as a reviewer may see it: nothing of the machine's answer."""

    media: Media
    position: int
    observers: tuple[str, ...]
    """Who has answered it in this round."""


async def find_job(session: ReadSession, job_id: UUID) -> Job | None:
    """The job, or None."""
    return await session.get(Job, job_id)


async def list_jobs(
    session: ReadSession, project_id: str, *, kind: JobKind | None = None, state: str | None = None, limit: int = 500
) -> Sequence[Job]:
    """The project's jobs, newest first."""
    query = select(Job).where(col(Job.project_id) == project_id).order_by(col(Job.job_id).desc()).limit(limit)
    if kind is not None:
        query = query.where(col(Job.kind) == kind)
    if state is not None:
        query = query.where(col(Job.state) == state)
    return (await session.scalars(query)).all()


async def find_rounds(session: ReadSession, round_ids: Collection[UUID]) -> dict[UUID, QcRound]:
    """Those of the rounds that were drawn already."""
    found = await session.scalars(select(QcRound).where(col(QcRound.round_id).in_(round_ids)))
    return {row.round_id: row for row in found}


async def tasks_of_round(session: ReadSession, round_id: UUID, *, limit: int, after: int | None) -> list[OpenTask]:
    """The next tasks in the order of review, after that position."""
    query = (
        select(col(QcTask.position), Media)
        .join(Media, col(Media.media_id) == col(QcTask.media_id))
        .where(col(QcTask.round_id) == round_id)
        .order_by(col(QcTask.position))
        .limit(limit)
    )
    if after is not None:
        query = query.where(col(QcTask.position) > after)
    found = [(row[0], row[1]) for row in await session.execute(query)]
    answered = await session.execute(
        select(col(Review.media_id), col(Review.observer))
        .where(col(Review.round_id) == round_id, col(Review.media_id).in_([media.media_id for _, media in found]))
        .distinct()
        .order_by(col(Review.observer))
    )
    observers: dict[UUID, list[str]] = {}
    for row in answered:
        observers.setdefault(row.media_id, []).append(row.observer)
    return [OpenTask(media, position, tuple(observers.get(media.media_id, ()))) for position, media in found]


async def media_of_project(session: ReadSession, project_id: str, media_ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids that are media of the project."""
    query = select(col(Media.media_id)).where(col(Media.project_id) == project_id, col(Media.media_id).in_(media_ids))
    return set((await session.scalars(query)).all())


async def tasks_drawn(
    session: ReadSession, project_id: str, pairs: Collection[tuple[UUID, UUID]]
) -> set[tuple[UUID, UUID]]:
    """Those of the (round, media) pairs that are tasks of the project."""
    rounds = {round_id for round_id, _ in pairs}
    media = {media_id for _, media_id in pairs}
    query = select(col(QcTask.round_id), col(QcTask.media_id)).where(
        col(QcTask.project_id) == project_id, col(QcTask.round_id).in_(rounds), col(QcTask.media_id).in_(media)
    )
    return {(row.round_id, row.media_id) for row in await session.execute(query)}


async def list_releases(session: ReadSession, project_id: str) -> Sequence[Release]:
    """The project's releases, newest first."""
    query = select(Release).where(col(Release.project_id) == project_id).order_by(col(Release.registered_at).desc())
    return (await session.scalars(query)).all()


async def find_release(session: ReadSession, project_id: str, release_id: str) -> Release | None:
    """The release, or None."""
    return await session.get(Release, (project_id, release_id))


async def list_promotions(session: ReadSession, project_id: str) -> Sequence[Promotion]:
    """What was put in force, newest first."""
    query = (
        select(Promotion).where(col(Promotion.project_id) == project_id).order_by(col(Promotion.promotion_id).desc())
    )
    return (await session.scalars(query)).all()
