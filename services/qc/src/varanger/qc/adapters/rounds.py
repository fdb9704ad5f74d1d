"""Queries and writes of rounds in the catalog. `qc_round` and `qc_task` are written here and nowhere else."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, String, and_, cast, func, or_, select, update
from sqlmodel import col

from varanger.common.catalog.database import ReadSession, WriteSession
from varanger.common.catalog.tables import (
    NO_FRAME,
    Deployment,
    Job,
    Media,
    PredictionRow,
    Project,
    QcRound,
    QcTask,
    Review,
)
from varanger.common.catalog.upsert import insert_ignore
from varanger.common.words import TRUNCATED, JobState
from varanger.qc.domain.frame import FrameRow

_PAGE = 5_000
_TASKS_AT_ONCE = 500
"""SQLite takes at most 32,766 values in one statement; a task has eleven."""
_RANKS = ("adjudicated", "own", "imported")


@dataclass(frozen=True)
class LeftOut:
    """Media of the project that no round draws from, each under the first reason that holds."""

    video: int
    """A task is one still image; a video is one media, of whose frames each has an answer."""
    unanswered: int
    """Without an answer from the round's release."""
    private: int
    """With people or vehicles: nobody outside may be shown them."""
    truncated: int
    """Whoever looks sees a part, and the answer would be held against a whole image."""


async def release_in_force(session: ReadSession, project_id: str) -> str | None:
    """The release whose answers the project shows."""
    project = await session.get(Project, project_id)
    return None if project is None else project.release_id


async def frame_rows(session: ReadSession, project_id: str, release_id: str) -> AsyncIterator[Sequence[FrameRow]]:
    """Every whole still image that this release answered and that is not private, page by page."""
    statement = (
        select(
            col(PredictionRow.media_id),
            col(Deployment.camera_setup),
            col(PredictionRow.label),
            col(PredictionRow.confidence),
        )
        .join(Media, col(Media.media_id) == col(PredictionRow.media_id))
        .join(
            Deployment,
            and_(
                col(Deployment.project_id) == col(Media.project_id),
                col(Deployment.deployment_id) == col(Media.deployment_id),
            ),
        )
        .where(_answered(project_id, release_id), ~_video(), ~_private(), ~_truncated())
        .execution_options(yield_per=_PAGE)
    )
    result = await session.stream(statement)
    async for page in result.partitions():
        yield [
            (media_id, setup, label, confidence)
            for media_id, setup, label, confidence in page
            if label is not None and confidence is not None
        ]


async def left_out(session: ReadSession, project_id: str, release_id: str) -> LeftOut:
    """How many media the frame leaves out, and why."""
    media = select(func.count()).select_from(Media).where(col(Media.project_id) == project_id)
    answered = (
        select(func.count())
        .select_from(PredictionRow)
        .join(Media, _same_media())
        .where(_answered(project_id, release_id), ~_video())
    )
    stills = await session.scalar(media.where(~_video())) or 0
    return LeftOut(
        video=await session.scalar(media.where(_video())) or 0,
        unanswered=stills - (await session.scalar(answered) or 0),
        private=await session.scalar(answered.where(_private())) or 0,
        truncated=await session.scalar(answered.where(_truncated(), ~_private())) or 0,
    )


async def answers(
    session: ReadSession, release_id: str, media: Sequence[UUID]
) -> AsyncIterator[tuple[UUID, dict[str, Any]]]:
    """The whole answers of a release for some media."""
    for start in range(0, len(media), _TASKS_AT_ONCE):
        statement = select(col(PredictionRow.media_id), col(PredictionRow.answer)).where(
            col(PredictionRow.release_id) == release_id,
            col(PredictionRow.frame_number) == NO_FRAME,
            col(PredictionRow.media_id).in_(media[start : start + _TASKS_AT_ONCE]),
        )
        for media_id, answer in await session.execute(statement):
            yield media_id, answer or {}


async def add_round(session: WriteSession, drawn: QcRound, tasks: Iterator[QcTask]) -> bool:
    """Write a round with its tasks, once: False where it stands there already, and nothing is changed."""
    statement = insert_ignore(session, QcRound).values(drawn.model_dump()).returning(col(QcRound.round_id))
    if (await session.execute(statement)).scalar_one_or_none() is None:
        return False
    waiting: list[QcTask] = []
    for task in tasks:
        waiting.append(task)
        if len(waiting) == _TASKS_AT_ONCE:
            session.add_all(waiting)
            await session.flush()
            waiting = []
    session.add_all(waiting)
    return True


async def end_job(
    session: WriteSession, job_id: UUID, state: JobState, at: datetime, *, counts: dict[str, int], message: str = ""
) -> None:
    """End the round's job; one that has ended stays as it is."""
    await session.execute(
        update(Job)
        .where(col(Job.job_id) == job_id, col(Job.state).in_((JobState.REQUESTED, JobState.RUNNING)))
        .values(state=state, counts=counts, message=message, progress=1.0, ended_at=at)
    )


@dataclass(frozen=True)
class AnsweredTask:
    """A task somebody answered, with the review in force for it."""

    task: QcTask
    review: Review


async def answered_tasks(session: ReadSession, round_id: UUID) -> list[AnsweredTask]:
    """Tasks with the review in force among those given *for this round*.

    Reviews of the same images for other reasons stay out: whoever asked for them chose the images by something other
    than the round's chance, and they would no longer be a random sample of their cell.
    """
    statement = (
        select(QcTask, Review)
        .join(Review, and_(col(Review.round_id) == col(QcTask.round_id), col(Review.media_id) == col(QcTask.media_id)))
        .where(col(QcTask.round_id) == round_id)
    )
    found: dict[UUID, AnsweredTask] = {}
    for task, review in await session.execute(statement):
        known = found.get(task.media_id)
        if known is None or _force(review) > _force(known.review):
            found[task.media_id] = AnsweredTask(task, review)
    return list(found.values())


async def stale_rounds(session: ReadSession) -> list[tuple[str, UUID]]:
    """(project, round) of rounds answered since they were last estimated: their messages were lost or are late."""
    statement = (
        select(col(QcRound.project_id), col(QcRound.round_id))
        .join(Review, col(Review.round_id) == col(QcRound.round_id))
        .where(or_(col(QcRound.estimated_at).is_(None), col(Review.reviewed_at) > col(QcRound.estimated_at)))
        .distinct()
    )
    return [(project_id, round_id) for project_id, round_id in await session.execute(statement)]


async def keep_report(session: WriteSession, round_id: UUID, report: dict[str, Any], read_at: datetime) -> None:
    """Write a report made from what was read at `read_at`; one made from newer reviews stays."""
    await session.execute(
        update(QcRound)
        .where(
            col(QcRound.round_id) == round_id,
            or_(col(QcRound.estimated_at).is_(None), col(QcRound.estimated_at) <= read_at),
        )
        .values(report=report, estimated_at=read_at)
    )


def _force(review: Review) -> tuple[int, datetime, UUID]:
    """The answer in force is the newest of the highest rank."""
    rank = _RANKS.index(review.rank) if review.rank in _RANKS else len(_RANKS)
    return -rank, review.reviewed_at, review.review_id


def _same_media() -> ColumnElement[bool]:
    return col(Media.media_id) == col(PredictionRow.media_id)


def _answered(project_id: str, release_id: str) -> ColumnElement[bool]:
    return and_(
        col(PredictionRow.project_id) == project_id,
        col(PredictionRow.release_id) == release_id,
        col(PredictionRow.state) == "classified",
        col(PredictionRow.frame_number) == NO_FRAME,
        col(PredictionRow.label).is_not(None),
        col(PredictionRow.confidence).is_not(None),
    )


def _private() -> ColumnElement[bool]:
    return or_(col(Media.private), col(PredictionRow.private))


def _video() -> ColumnElement[bool]:
    return col(Media.media_type).startswith("video/")


def _truncated() -> ColumnElement[bool]:
    # As text a JSON list reads alike in both databases; only the whole word stands in quotes.
    return cast(col(Media.flags), String).contains(f'"{TRUNCATED}"')
