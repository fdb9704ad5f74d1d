"""`review.recorded.v1`: estimate a round again from everything people have answered so far."""

import asyncio
from uuid import UUID

import structlog

from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import QcRound
from varanger.common.clock import now
from varanger.common.errors import BadMessage
from varanger.common.words import BLANK, ImageQuality, ReviewObservation
from varanger.qc.adapters import rounds
from varanger.qc.adapters.rounds import AnsweredTask
from varanger.qc.domain.cells import Cell, key_of_image
from varanger.qc.domain.design import RoundDesign
from varanger.qc.domain.estimator import NOT_OBSERVED
from varanger.qc.domain.figures import RoundReport
from varanger.qc.domain.report import ReviewedImage, report_of
from varanger.qc.domain.truth import observed_taxa, truth_label

_log = structlog.get_logger()


async def estimate_round(catalog: Catalog, project_id: str, round_id: UUID) -> RoundReport:
    """Estimate and keep the report. It follows from the reviews alone, so once more changes nothing.

    Raises:
        BadMessage: no such round was drawn in this project.
    """
    read_at = now()
    async with catalog.reading() as session:
        drawn = await session.get(QcRound, round_id)
        if drawn is None or drawn.project_id != project_id:
            raise BadMessage(f"round_id: project {project_id} has drawn no round {round_id}")
        answered = await rounds.answered_tasks(session, round_id)
    design = RoundDesign.model_validate(drawn.design)
    cells = tuple(Cell.model_validate(cell) for cell in drawn.frame["cells"])
    reviewed = [reviewed_image(one, design) for one in answered]
    report = await asyncio.to_thread(report_of, cells, design, reviewed)
    async with catalog.writing() as writing:
        await rounds.keep_report(writing, round_id, report.model_dump(mode="json"), read_at)
    _log.info("qc.round_estimated", round_id=str(round_id), reviewed=report.reviewed, drawn=report.drawn)
    return report


async def catch_up(catalog: Catalog) -> bool:
    """Estimate what was answered and not estimated since: the bus is never the only record of work. Never more."""
    async with catalog.reading() as session:
        stale = await rounds.stale_rounds(session)
    for project_id, round_id in stale:
        await estimate_round(catalog, project_id, round_id)
    return False


def reviewed_image(answered: AnsweredTask, design: RoundDesign) -> ReviewedImage:
    """A task and its review in the words of the estimator. Cells come from the answer that was drawn, kept with it."""
    task, review = answered.task, answered.review
    observations = [ReviewObservation.model_validate(observation) for observation in review.observations]
    truth = truth_label(task.label, observations, ImageQuality(review.image_quality))
    return ReviewedImage(
        cell=key_of_image(design, task.camera_setup, task.label, task.confidence, blank=task.label == BLANK),
        outcome=NOT_OBSERVED if truth is None else truth,
        several_species=len(observed_taxa(observations)) > 1,
    )
