"""Queries for exports: every media of a project in order of site and capture time, with its answers, page by page."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from varanger.api.adapters import media_rows
from varanger.common.catalog.database import ReadSession
from varanger.common.catalog.tables import Deployment, Media, QcTask, Release, Review, Upload

PAGE = 500


@dataclass(frozen=True)
class ExportedMedia:
    """One media with what is needed to tell what it shows."""

    media: Media
    deployment: Deployment
    answer: dict[str, Any] | None
    """The prediction it shows, as JSON."""
    reviews: Sequence[Review]
    samples: dict[UUID, list[str]]
    """Which samples of which round drew it."""


async def media_in_order(session: ReadSession, project_id: str) -> AsyncIterator[list[ExportedMedia]]:
    """Pages of the project's media by site and capture time; memory does not grow with the project."""
    query = (
        select(Media, Deployment)
        .join(
            Deployment,
            (col(Deployment.project_id) == col(Media.project_id))
            & (col(Deployment.deployment_id) == col(Media.deployment_id)),
        )
        .join(Upload, col(Upload.media_id) == col(Media.media_id))
        .where(col(Media.project_id) == project_id)
        # Within a second a burst's images follow the camera's own numbering.
        .order_by(
            col(Deployment.location_id),
            col(Media.captured_at_utc).nulls_last(),
            col(Upload.original_path),
            col(Media.media_id),
        )
        .execution_options(yield_per=PAGE)
    )
    found = await session.stream(query)
    async for page in found.partitions(PAGE):
        yield await _with_answers(session, [(row[0], row[1]) for row in page])
        session.expunge_all()


async def _with_answers(session: ReadSession, page: list[tuple[Media, Deployment]]) -> list[ExportedMedia]:
    media = [each for each, _ in page]
    ids = [each.media_id for each in media]
    answers = await media_rows.shown_answers(session, media)
    reviews: dict[UUID, list[Review]] = {}
    for review in await media_rows.reviews(session, ids):
        reviews.setdefault(review.media_id, []).append(review)
    samples = await _samples(session, list(reviews))
    return [
        ExportedMedia(
            each,
            deployment,
            answers.get(each.media_id),
            reviews.get(each.media_id, []),
            samples.get(each.media_id, {}),
        )
        for each, deployment in page
    ]


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
        select(col(Review.observations)).where(col(Review.project_id) == project_id).execution_options(yield_per=PAGE)
    )
    return {each["taxon"] async for observations in found for each in observations}


async def any_bad_review(session: ReadSession, project_id: str) -> bool:
    """Whether a person called any image of the project bad."""
    query = select(col(Review.review_id)).where(
        col(Review.project_id) == project_id, col(Review.image_quality) == "bad_quality"
    )
    return (await session.execute(query.limit(1))).first() is not None
