"""`qc.round.requested.v1`: draw a round from the answers of a release and lay out its tasks. Twice is as once."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from uuid import UUID

import structlog

from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import Job, QcRound, QcTask
from varanger.common.clock import now
from varanger.common.errors import BadMessage
from varanger.common.words import BLANK, JobState
from varanger.qc.adapters import rounds
from varanger.qc.application.request import RoundRequest, read_request
from varanger.qc.domain.draw import Draw, draw
from varanger.qc.domain.frame import Frame, FrameColumns
from varanger.qc.domain.report import report_of

_log = structlog.get_logger()


class CannotDraw(Exception):
    """The request makes no sense as things stand: the job fails with these words."""


async def draw_round(catalog: Catalog, project_id: str, round_id: UUID) -> None:
    """Draw and store; the job ends `done` with counts, or `failed` with what to change.

    Raises:
        BadMessage: no such round was asked for in this project.
    """
    async with catalog.reading() as session:
        job = await session.get(Job, round_id)
        if job is None or job.project_id != project_id:
            raise BadMessage(f"round_id: project {project_id} has no round {round_id}")
        if job.state not in {JobState.REQUESTED, JobState.RUNNING}:
            return  # drawn, refused or cancelled before
    try:
        await _draw(catalog, project_id, round_id, read_request(job.spec, round_id))
    except (CannotDraw, ValueError) as error:
        async with catalog.writing() as writing:
            await rounds.end_job(writing, round_id, JobState.FAILED, now(), counts={}, message=str(error))
        _log.warning("qc.round_refused", round_id=str(round_id), reason=str(error))


async def _draw(catalog: Catalog, project_id: str, round_id: UUID, request: RoundRequest) -> None:
    async with catalog.reading() as session:
        release_id = request.release_id or await rounds.release_in_force(session, project_id)
        if release_id is None:
            raise CannotDraw("release_id: the project has no release in force; promote one, or name one")
        columns = FrameColumns()
        async for page in rounds.frame_rows(session, project_id, release_id):
            for row in page:
                columns.add(row)
        left_out = await rounds.left_out(session, project_id, release_id)
    frame = columns.frame()
    if not len(frame):
        raise CannotDraw(f"release_id: release {release_id[:12]} has answered no media that may be shown to a reviewer")
    drawn = await asyncio.to_thread(draw, frame, request.design)
    media = [frame.media(index) for index in drawn.index.tolist()]
    async with catalog.reading() as session:
        runners_up = {
            media_id: runner_up(answer) async for media_id, answer in rounds.answers(session, release_id, media)
        }
    images = sum(cell.images for cell in drawn.cells)
    round_row = QcRound(
        round_id=round_id,
        project_id=project_id,
        release_id=release_id,
        design=request.design.model_dump(mode="json"),
        frame={
            "images": images,
            "left_out": asdict(left_out),
            "cells": [cell.model_dump(mode="json") for cell in drawn.cells],
        },
        report=report_of(drawn.cells, request.design, []).model_dump(mode="json"),
    )
    counts = {"frame": images, "drawn": len(drawn), **asdict(left_out)}
    async with catalog.writing() as writing:
        tasks = _tasks(frame, drawn, media, runners_up, round_row)
        if await rounds.add_round(writing, round_row, tasks):
            await rounds.end_job(writing, round_id, JobState.DONE, now(), counts=counts)
    _log.info("qc.round_drawn", round_id=str(round_id), **counts)


def runner_up(answer: dict[str, object]) -> float | None:
    """Score of the strongest class of any stage that did not become the label; None where no stage told.

    For a blank that is the highest animal score.
    """
    stages = answer.get("scores")
    if not isinstance(stages, dict):
        return None
    scores = [
        score
        for stage in stages.values()
        for name, score in stage.items()
        if name not in {answer.get("label"), BLANK, "empty"}
    ]
    return max(scores, default=None)


def _tasks(
    frame: Frame, drawn: Draw, media: list[UUID], runners_up: dict[UUID, float | None], round_row: QcRound
) -> Iterator[QcTask]:
    for position, (index, media_id) in enumerate(zip(drawn.index.tolist(), media, strict=True)):
        yield QcTask(
            round_id=round_row.round_id,
            media_id=media_id,
            project_id=round_row.project_id,
            position=position,
            camera_setup=frame.setups[frame.setup[index]],
            label=frame.labels[frame.label[index]],
            confidence=float(frame.confidence[index]),
            runner_up=runners_up.get(media_id),
            samples=list(drawn.samples[position]),
            inclusion_probability=float(drawn.inclusion_probability[position]),
        )
