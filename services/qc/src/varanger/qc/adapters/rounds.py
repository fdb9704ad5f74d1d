"""Queries and writes of rounds in the catalog. `qc_round` and `qc_task` are written here and nowhere else."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, and_, cast, func, or_, select, update
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

    unanswered: int
    """Without an answer from the round's release."""
    private: int
    """With people or vehicles: nobody outside may be shown them."""
    truncated: int
    """Whoever looks sees a part, and the answer would be held against the whole."""


async def release_in_force(session: ReadSession, project_id: str) -> str | None:
    """The release whose answers the project shows."""
    project = await session.get(Project, project_id)
    return None if project is None else project.release_id


async def frame_rows(session: ReadSession, project_id: str, release_id: str) -> AsyncIterator[Sequence[FrameRow]]:
    """Every media that this release answered and that is neither private nor truncated, page by page. A video is one
    media, with the answer that it shows."""
    of_deployment = and_(
        col(Deployment.project_id) == col(Media.project_id), col(Deployment.deployment_id) == col(Media.deployment_id)
    )
    images = (
        select(
            col(PredictionRow.media_id),
            col(Deployment.camera_setup),
            col(PredictionRow.label),
            col(PredictionRow.confidence),
        )
        .join(Media, _same_media())
        .join(Deployment, of_deployment)
        .where(_answered(project_id, release_id), ~_private(), ~_truncated())
    )
    videos = (
        select(col(Media.media_id), col(Deployment.camera_setup), col(Media.label), col(Media.confidence))
        .join(Deployment, of_deployment)
        .where(_shown_of_video(project_id, release_id), ~col(Media.private), ~_truncated())
    )
    for statement in (images, videos):
        result = await session.stream(statement.execution_options(yield_per=_PAGE))
        async for page in result.partitions():
            yield [
                (media_id, setup, label, confidence)
                for media_id, setup, label, confidence in page
                if label is not None and confidence is not None
            ]


async def left_out(session: ReadSession, project_id: str, release_id: str) -> LeftOut:
    """How many media the frame leaves out, and why."""
    media = select(func.count()).select_from(Media)
    videos = media.where(_shown_of_video(project_id, release_id))
    images = select(func.count()).select_from(PredictionRow).join(Media, _same_media())
    images = images.where(_answered(project_id, release_id))
    total = await _number(session, media.where(col(Media.project_id) == project_id))
    known = await _number(session, images) + await _number(session, videos)
    private_videos = await _number(session, videos.where(col(Media.private)))
    private = await _number(session, images.where(_private())) + private_videos
    cut_videos = await _number(session, videos.where(_truncated(), ~col(Media.private)))
    truncated = await _number(session, images.where(_truncated(), ~_private())) + cut_videos
    return LeftOut(unanswered=total - known, private=private, truncated=truncated)


async def answers(
    session: ReadSession, release_id: str, media: Sequence[UUID]
) -> AsyncIterator[tuple[UUID, dict[str, Any]]]:
    """The whole answers of a release for some media; of a video that of the frame it shows."""
    of_shown_frame = and_(
        col(PredictionRow.release_id) == col(Media.release_id),
        col(PredictionRow.label) == col(Media.label),
        col(PredictionRow.confidence) == col(Media.confidence),
    )
    for start in range(0, len(media), _TASKS_AT_ONCE):
        statement = (
            select(col(PredictionRow.media_id), col(PredictionRow.answer))
            .join(Media, _same_media())
            .where(
                col(PredictionRow.release_id) == release_id,
                or_(col(PredictionRow.frame_number) == NO_FRAME, of_shown_frame),
                col(PredictionRow.media_id).in_(media[start : start + _TASKS_AT_ONCE]),
            )
            .order_by(col(PredictionRow.frame_number).desc())  # of equal frames the first is shown, so it comes last
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


def _shown_of_video(project_id: str, release_id: str) -> ColumnElement[bool]:
    """A video is asked about frame by frame; its own row says what the recorder makes of them all."""
    return and_(
        col(Media.project_id) == project_id,
        col(Media.release_id) == release_id,
        col(Media.media_type).startswith("video/"),
        col(Media.label).is_not(None),
    )


async def _number(session: ReadSession, counting: "Select[int]") -> int:
    return await session.scalar(counting) or 0


def _private() -> ColumnElement[bool]:
    return or_(col(Media.private), col(PredictionRow.private))


def _truncated() -> ColumnElement[bool]:
    # As text a JSON list reads alike in both databases; only the whole word stands in quotes.
    return cast(col(Media.flags), String).contains(f'"{TRUNCATED}"')
