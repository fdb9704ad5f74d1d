"""Queries for exports: a project's media by location and local time, and what a page of them shows."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Integer, cast, func, select
from sqlmodel import col

from varanger.api.adapters import media_rows
from varanger.api.domain.export_names import ExportedFile
from varanger.api.domain.local_time import local_time
from varanger.common.catalog.database import ReadSession
from varanger.common.catalog.tables import (
    NO_FRAME,
    Deployment,
    Media,
    PredictionRow,
    QcTask,
    Release,
    Review,
    Upload,
)

_PAGE = 2_000
_FRAMES = 100
"""Answers of video frames at a time."""


async def files_by_day(session: ReadSession, project_id: str) -> AsyncIterator[list[ExportedFile]]:
    """Pages of the project's media, those of one location and local day together, those without a date last.

    One statement, so one moment; memory does not grow with the project.
    """
    taken = _local_time(session)
    query = (
        select(
            col(Media.media_id),
            col(Media.name),
            col(Deployment.location_id),
            col(Deployment.camera_id),
            col(Media.deployment_id),
            col(Media.captured_at),
            col(Media.clock_correction_s),
            col(Media.sub_seconds),
            col(Media.sequence_number),
            func.coalesce(col(Upload.original_path), col(Upload.original_name)).label("path"),
            col(Media.sha256),
        )
        .join(
            Deployment,
            (col(Deployment.project_id) == col(Media.project_id))
            & (col(Deployment.deployment_id) == col(Media.deployment_id)),
        )
        .join(Upload, col(Upload.media_id) == col(Media.media_id))
        .where(col(Media.project_id) == project_id)
        .order_by(col(Deployment.location_id), taken.nulls_last(), col(Media.media_id))
        .execution_options(yield_per=_PAGE)
    )
    async for page in (await session.stream(query)).partitions():
        yield [
            ExportedFile(
                media_id=str(row.media_id),
                name=row.name,
                location_id=row.location_id,
                camera_id=row.camera_id,
                deployment_id=row.deployment_id,
                local_time=local_time(row.captured_at, row.clock_correction_s),
                sub_seconds=row.sub_seconds,
                sequence_number=row.sequence_number,
                original_path=row.path,
                sha256=row.sha256,
            )
            for row in page
        ]


def _local_time(session: ReadSession) -> ColumnElement[datetime | None]:
    """`domain/local_time.py` in SQL. Both count whole seconds, so both put a media on the same day."""
    captured_at, seconds = col(Media.captured_at), func.floor(col(Media.clock_correction_s) + 0.5)
    if session.get_bind().dialect.name == "postgresql":
        moved: ColumnElement[datetime | None] = captured_at + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        return moved
    return func.datetime(captured_at, func.printf("%+d seconds", cast(seconds, Integer)), type_=DateTime)


@dataclass(frozen=True)
class VideoAnswer:
    """What a release said of a video: of all its frames together."""

    best: dict[str, float] = field(default_factory=dict)
    """The highest confidence of each label's boxes."""
    taxa: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class ShownMedia:
    """One media with what is needed to tell what it shows."""

    media: Media
    deployment: Deployment
    answer: dict[str, Any] | None
    """The prediction it shows, as JSON."""
    video: VideoAnswer | None
    """What a video's frames show together; None for a still image."""
    reviews: Sequence[Review]
    samples: dict[UUID, list[str]]
    """Which samples of which round drew it."""


async def shown_media(session: ReadSession, project_id: str, media_ids: Collection[UUID]) -> dict[UUID, ShownMedia]:
    """What these media of one project show."""
    media = list(await session.scalars(select(Media).where(col(Media.media_id).in_(media_ids))))
    wanted = {each.deployment_id for each in media}
    found = await session.scalars(
        select(Deployment).where(col(Deployment.project_id) == project_id, col(Deployment.deployment_id).in_(wanted))
    )
    deployments = {each.deployment_id: each for each in found}
    answers = await media_rows.shown_answers(session, media)
    videos = await _video_answers(session, [each for each in media if each.frame_numbers])
    reviews: dict[UUID, list[Review]] = {}
    for review in await media_rows.reviews(session, media_ids):
        reviews.setdefault(review.media_id, []).append(review)
    samples = await _samples(session, list(reviews))
    return {
        each.media_id: ShownMedia(
            each,
            deployments[each.deployment_id],
            answers.get(each.media_id),
            videos.get(each.media_id),
            reviews.get(each.media_id, []),
            samples.get(each.media_id, {}),
        )
        for each in media
    }


async def _video_answers(session: ReadSession, media: Sequence[Media]) -> dict[UUID, VideoAnswer]:
    """Frames have an answer each; here they become one per video, a few frames in memory at a time."""
    releases = {each.media_id: each.release_id for each in media if each.release_id is not None}
    if not releases:
        return {}
    query = (
        select(col(PredictionRow.media_id), col(PredictionRow.release_id), col(PredictionRow.answer))
        .where(
            col(PredictionRow.media_id).in_(releases),
            col(PredictionRow.frame_number) != NO_FRAME,
            col(PredictionRow.state) == "classified",
        )
        .execution_options(yield_per=_FRAMES)
    )
    videos: dict[UUID, VideoAnswer] = {}
    async for row in await session.stream(query):
        if row.release_id != releases[row.media_id] or row.answer is None:
            continue
        video = videos.setdefault(row.media_id, VideoAnswer())
        video.taxa.update(each["taxon"] for each in row.answer.get("observations", ()))
        for box in row.answer.get("detections", ()):
            video.best[box["label"]] = max(box["confidence"], video.best.get(box["label"], 0.0))
    return videos


async def _samples(session: ReadSession, media_ids: list[UUID]) -> dict[UUID, dict[UUID, list[str]]]:
    found = await session.execute(
        select(col(QcTask.media_id), col(QcTask.round_id), col(QcTask.samples)).where(
            col(QcTask.media_id).in_(media_ids)
        )
    )
    samples: dict[UUID, dict[UUID, list[str]]] = {}
    for row in found:
        samples.setdefault(row.media_id, {})[row.round_id] = row.samples
    return samples


async def releases_shown(session: ReadSession, project_id: str) -> Sequence[Release]:
    """The releases whose answers the project's media show."""
    shown = select(col(Media.release_id)).where(col(Media.project_id) == project_id).distinct()
    query = select(Release).where(col(Release.project_id) == project_id, col(Release.release_id).in_(shown))
    return (await session.scalars(query)).all()


async def reviewed_taxa(session: ReadSession, project_id: str) -> set[str]:
    """Every taxon that a person saw in the project."""
    found = await session.stream_scalars(
        select(col(Review.observations)).where(col(Review.project_id) == project_id).execution_options(yield_per=_PAGE)
    )
    return {each["taxon"] async for observations in found for each in observations}


async def any_bad_review(session: ReadSession, project_id: str) -> bool:
    """Whether a person called any image of the project bad."""
    query = select(col(Review.review_id)).where(
        col(Review.project_id) == project_id, col(Review.image_quality) == "bad_quality"
    )
    return (await session.execute(query.limit(1))).first() is not None
