"""Reviews: what people saw. Append-only: a person's newer answer stands beside the older one, and counts."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, field_validator

from varanger.api.application.record_reviews import GivenReview, ReviewRefused, record_reviews
from varanger.api.domain.access import Scope
from varanger.api.domain.review_in_force import RANKS
from varanger.api.gateway.context import Gateway
from varanger.api.gateway.endpoints.media import FileDep
from varanger.api.gateway.endpoints.projects import existing_project
from varanger.api.gateway.inputs import Input
from varanger.api.gateway.media_views import ReviewOut, review_out
from varanger.api.gateway.problems import Problem
from varanger.api.gateway.security import CallerDep, GatewayDep, Reviewer, check
from varanger.common.telemetry.trace import continue_trace
from varanger.common.words import BAD_QUALITY, BLANK, Certainty, ImageQuality, ReviewObservation

router = APIRouter(prefix="/v1", tags=["reviews"])

MOST_AT_ONCE = 1000
_NO_TAXA = {
    BLANK: "leave `observations` empty",
    "empty": "leave `observations` empty",
    BAD_QUALITY: "say image_quality: bad_quality",
    "bad quality": "say image_quality: bad_quality",
}


class ObservationIn(Input):
    """A taxon with a count."""

    taxon: Annotated[str, Field(min_length=1, max_length=200)]
    count: int = Field(default=1, ge=1, le=100_000)
    certainty: Certainty = Certainty.CERTAIN

    @field_validator("taxon")
    @classmethod
    def _is_a_taxon(cls, taxon: str) -> str:
        if taxon.lower() in _NO_TAXA:
            raise ValueError(f"{taxon!r} is no taxon; {_NO_TAXA[taxon.lower()]}")
        return taxon


class ReviewIn(Input):
    """One person's answer. No observations and good image quality: they saw nothing there."""

    observer: str = Field(min_length=1, max_length=200)
    observations: list[ObservationIn] = Field(max_length=100)
    image_quality: ImageQuality = ImageQuality.GOOD
    rank: str = "own"
    round_id: UUID | None = None
    comment: str = Field(default="", max_length=4000)

    @field_validator("rank")
    @classmethod
    def _is_a_rank(cls, rank: str) -> str:
        if rank not in RANKS:
            raise ValueError(f"{rank!r} is none of {', '.join(RANKS)}")
        return rank

    def given(self, media_id: UUID) -> GivenReview:
        """For the use case."""
        return GivenReview(
            media_id=media_id,
            observer=self.observer,
            observations=tuple(ReviewObservation(**each.model_dump()) for each in self.observations),
            image_quality=self.image_quality,
            rank=self.rank,
            round_id=self.round_id,
            comment=self.comment,
        )


class ReviewOfMediaIn(ReviewIn):
    """One of many answers, with the media it is for."""

    media_id: UUID


class ReviewsIn(Input):
    """Many answers at once, all or none."""

    reviews: list[ReviewOfMediaIn] = Field(min_length=1, max_length=MOST_AT_ONCE)


class ReviewsOut(BaseModel):
    """What was recorded, in the order it was sent."""

    reviews: list[ReviewOut]


@router.post("/media/{media_id}/reviews", status_code=201)
async def review_media(
    request: Request, gateway: GatewayDep, caller: CallerDep, file: FileDep, review: ReviewIn
) -> ReviewOut:
    """Record one answer."""
    check(caller, Scope.REVIEW, file.upload.project_id)
    if file.media is None:
        raise Problem(409, f"this file is {file.upload.state!r}: there is nothing to review (yet)")
    given = [review.given(file.media.media_id)]
    return (await _record(request, gateway, file.upload.project_id, given, caller.name))[0]


@router.post("/projects/{project}/reviews", status_code=201)
async def review_many(
    request: Request, gateway: GatewayDep, caller: Reviewer, project: str, many: ReviewsIn
) -> ReviewsOut:
    """Record up to 1000 answers, all or none."""
    async with gateway.catalog.reading() as session:
        await existing_project(session, project)
    given = [each.given(each.media_id) for each in many.reviews]
    return ReviewsOut(reviews=await _record(request, gateway, project, given, caller.name))


async def _record(
    request: Request, gateway: Gateway, project: str, given: list[GivenReview], by: str
) -> list[ReviewOut]:
    trace = continue_trace(request.headers.get("traceparent"))
    try:
        async with gateway.catalog.writing() as session:
            rows = await record_reviews(session, project, given, by=by, traceparent=trace)
    except ReviewRefused as error:
        field = error.field if len(given) == 1 else f"reviews.{error.index}.{error.field}"
        errors: list[dict[str, Any]] = [{"field": field, "problem": error.problem}]
        raise Problem(422, f"{field}: {error.problem}", errors=errors) from error
    return [review_out(row) for row in rows]
