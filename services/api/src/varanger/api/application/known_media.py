"""Everything the recorder must know of a set of media, read in six queries, and their state computed again."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self, cast
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import QueryableAttribute, defer
from sqlmodel import col

from varanger.api.domain.media_state import Known, intake_of_frame, media_state
from varanger.api.domain.shown_prediction import shown_prediction
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.tables import (
    NO_FRAME,
    DeadLetterRow,
    Deployment,
    Media,
    PredictionRow,
    Project,
    Promotion,
    Quarantine,
    Upload,
)
from varanger.common.clock import now
from varanger.common.words import MediaState


def frames_of(media: Media) -> list[int]:
    """What is asked about separately: the sampled frames of a video, or the one still image."""
    return media.frame_numbers or [NO_FRAME]


@dataclass
class KnownMedia:
    """The rows of some media, locked for this transaction in a fixed order, so that two recorders never deadlock."""

    uploads: dict[UUID, Upload]
    media: dict[UUID, Media]
    quarantined: dict[UUID, Quarantine]
    predictions: dict[UUID, dict[tuple[str, int], PredictionRow]]
    dead: set[UUID]
    """An open letter is about their ingest; of a classification the prediction row tells."""
    with_letters: set[UUID]
    """Any open letter is about them."""
    projects: dict[str, Project]
    deployments: dict[tuple[str, str], Deployment] = field(default_factory=dict)
    """By project and deployment id, as they are now."""
    promoted_at: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    async def read(cls, session: WriteSession, media_ids: Iterable[UUID]) -> Self:
        """Read and lock."""
        ids = sorted(set(media_ids))
        uploads = await session.scalars(
            select(Upload).where(col(Upload.media_id).in_(ids)).order_by(col(Upload.media_id)).with_for_update()
        )
        media = await session.scalars(select(Media).where(col(Media.media_id).in_(ids)))
        quarantined = await session.scalars(select(Quarantine).where(col(Quarantine.media_id).in_(ids)))
        # Without the answers themselves: a video has one for each frame, and nobody here reads them.
        rows = await session.scalars(
            select(PredictionRow)
            .where(col(PredictionRow.media_id).in_(ids))
            .options(defer(cast("QueryableAttribute[Any]", PredictionRow.answer), raiseload=True))
        )
        predictions: dict[UUID, dict[tuple[str, int], PredictionRow]] = defaultdict(dict)
        for row in rows:
            predictions[row.media_id][(row.release_id, row.frame_number)] = row
        letters = await session.execute(
            select(col(DeadLetterRow.media_id), col(DeadLetterRow.release_id)).where(
                col(DeadLetterRow.media_id).in_(ids), col(DeadLetterRow.replayed_at).is_(None)
            )
        )
        about = [(media_id, release_id) for media_id, release_id in letters if media_id is not None]
        known = cls(
            uploads={row.media_id: row for row in uploads},
            media={row.media_id: row for row in media},
            quarantined={row.media_id: row for row in quarantined},
            predictions=predictions,
            dead={media_id for media_id, release_id in about if release_id is None},
            with_letters={media_id for media_id, _ in about},
            projects={},
        )
        await known._read_projects(session)
        return known

    async def _read_projects(self, session: WriteSession) -> None:
        names = sorted({upload.project_id for upload in self.uploads.values()})
        projects = await session.scalars(select(Project).where(col(Project.project_id).in_(names)))
        self.projects = {project.project_id: project for project in projects}
        deployments = await session.scalars(
            select(Deployment).where(
                tuple_(col(Deployment.project_id), col(Deployment.deployment_id)).in_(
                    sorted({(upload.project_id, upload.deployment_id) for upload in self.uploads.values()})
                )
            )
        )
        self.deployments = {(one.project_id, one.deployment_id): one for one in deployments}
        last = await session.execute(
            select(col(Promotion.project_id), col(Promotion.release_id), func.max(col(Promotion.promoted_at)))
            .where(col(Promotion.project_id).in_(names))
            .group_by(col(Promotion.project_id), col(Promotion.release_id))
        )
        self.promoted_at = {(project, release): str(at) for project, release, at in last}

    def settle(self, media_id: UUID) -> None:
        """Compute the media's state and shown answer again from its rows."""
        upload = self.uploads[media_id]
        rows = list(self.predictions[media_id].values())
        media = self.media.get(media_id)
        held = self.quarantined.get(media_id)
        upload.state = media_state(
            Known(
                unpacked=upload.state == MediaState.UNPACKED,
                duplicate=upload.duplicate_of is not None,
                stored=media is not None,
                quarantined=held is not None and held.released_at is None,
                dead=media_id in self.dead,
                intake=_intake(rows),
            )
        )
        upload.progress_at = now()
        if media is not None:
            self._show(media, rows)

    def _show(self, media: Media, rows: list[PredictionRow]) -> None:
        promoted = {row.release_id: self.promoted_at.get((media.project_id, row.release_id), "") for row in rows}
        shown = shown_prediction(rows, promoted, frames_of(media))
        if isinstance(shown, PredictionRow):
            media.label, media.confidence = shown.label, shown.confidence
            media.route, media.release_id = shown.route, shown.release_id
        media.private = media.private or any(row.private for row in rows)


def _intake(rows: list[PredictionRow]) -> frozenset[str]:
    frames: dict[int, list[PredictionRow]] = defaultdict(list)
    for row in rows:
        frames[row.frame_number].append(row)
    return frozenset(state for of_frame in frames.values() if (state := intake_of_frame(of_frame)) is not None)
