"""Exports: the project's files under other tools' names, and its answers as Böhner's final table.

Which files there are, their order, their times and their names are of one moment: they are read in one statement and
spooled. What a page of files shows is read when the reader gets there, in a session of its own.
"""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from varanger.api.adapters import export_rows
from varanger.api.adapters.export_rows import ShownMedia
from varanger.api.adapters.export_spool import export_spool
from varanger.api.domain.export_names import ExportedFile, Namer, Names, Template
from varanger.api.domain.final_table import (
    COLUMNS,
    EMPTY,
    MachineAnswer,
    PersonsAnswer,
    TableImage,
    class_id,
    machine_answer,
    persons_answer,
    rows,
)
from varanger.api.domain.review_in_force import review_in_force
from varanger.common.catalog import Catalog
from varanger.common.catalog.database import ReadSession
from varanger.common.catalog.tables import Release, Review
from varanger.common.words import BAD_QUALITY, ImageQuality

NAME_COLUMNS = ("media_id", "name", "export_name", "original_path", "deployment", "captured_at_local", "sha256")
_PAGE = 500

Named = tuple[ExportedFile, str]


async def export_names(
    catalog: Catalog, project_id: str, *, template: Template, spool_folder: Path | None = None
) -> AsyncGenerator[str, None]:
    """Every media of a project with its name under a template, as CSV text in pieces.

    Memory does not grow with the project, and no session is held while a piece is with the reader.

    Args:
        catalog: where the media are.
        project_id: whose.
        template: whose names.
        spool_folder: where the project's files are spooled; None: the system's temporary folder.

    Raises:
        DependencyDown: the catalog does not answer; before the first piece.
    """
    async with _named_files(catalog, project_id, template, spool_folder) as named:
        yield _csv([NAME_COLUMNS])
        while page := await asyncio.to_thread(_next_page, named):
            yield _csv([_name_row(file, name) for file, name in page])


async def export_final_table(
    catalog: Catalog, project_id: str, *, names: Template = Template.DEFAULT, spool_folder: Path | None = None
) -> AsyncGenerator[str, None]:
    """Böhner's final table of a project as CSV text, in pieces; memory does not grow with the project.

    Its classes are those of the releases that answered, what people saw, `empty`, and `bad_quality` where it occurs.

    Args:
        catalog: where the answers are.
        project_id: whose.
        names: `image_name` by this template.
        spool_folder: as in `export_names`.

    Raises:
        DependencyDown: the catalog does not answer (any more).
    """
    async with _named_files(catalog, project_id, names, spool_folder) as named:
        async with catalog.reading() as session:
            known = {row.release_id: _classes(row) for row in await export_rows.releases_shown(session, project_id)}
            classes = await _table_classes(session, project_id, known)
        yield _csv([COLUMNS])
        while page := await asyncio.to_thread(_next_page, named):
            async with catalog.reading() as session:
                shown = await export_rows.shown_media(session, project_id, [UUID(file.media_id) for file, _ in page])
            images = (_image(file, name, shown[UUID(file.media_id)], known) for file, name in page)
            yield _csv([line for image in images for line in rows(image, classes)])


@asynccontextmanager
async def _named_files(
    catalog: Catalog, project_id: str, template: Template, spool_folder: Path | None
) -> AsyncGenerator[Names, None]:
    with export_spool(spool_folder) as spool:
        async with catalog.reading() as session:
            async for page in export_rows.files_by_day(session, project_id):
                await asyncio.to_thread(spool.write, page)
        yield Namer(template, spool.places).names(spool.read())


def _next_page(named: Names) -> list[Named]:
    return list(islice(named, _PAGE))


def _name_row(file: ExportedFile, name: str) -> tuple[str, ...]:
    taken = "" if file.local_time is None else file.local_time.isoformat()
    return file.media_id, file.name, name, file.original_path, file.deployment_id, taken, file.sha256


async def _table_classes(session: ReadSession, project_id: str, known: dict[str, frozenset[str]]) -> list[str]:
    classes = {class_id(taxon) for taxon in await export_rows.reviewed_taxa(session, project_id)} | {EMPTY}
    classes = classes.union(*known.values())
    if await export_rows.any_bad_review(session, project_id):
        classes.add(BAD_QUALITY)
    return sorted(classes)


def _classes(release: Release) -> frozenset[str]:
    stages: dict[str, dict[str, Any]] = release.manifest.get("stages", {})
    return frozenset(class_id(name) for stage in stages.values() for name in stage.get("classes", ()))


def _image(file: ExportedFile, name: str, shown: ShownMedia, known: dict[str, frozenset[str]]) -> TableImage:
    best = review_in_force(shown.reviews)
    return TableImage(
        locality=shown.deployment.location_name or "",
        site=file.location_id,
        local_time=file.local_time,
        name=name,
        machine=_machine(shown, known.get(shown.media.release_id or "", frozenset())),
        person=None if best is None else _person(best, shown),
    )


def _machine(shown: ShownMedia, known: frozenset[str]) -> MachineAnswer | None:
    answer, video = shown.answer, shown.video
    if answer is None:
        return None
    boxes = [(box["label"], box["confidence"]) for box in answer.get("detections", ())]
    taxa = {each["taxon"] for each in answer.get("observations", ())}
    if video is not None:
        boxes.extend(video.best.items())
        taxa |= video.taxa
    return machine_answer(answer["label"], answer["confidence"], boxes, sorted(taxa), known)


def _person(review: Review, shown: ShownMedia) -> PersonsAnswer:
    kind = "corrected_image_label"
    if review.round_id is not None:
        drawn_by = shown.samples.get(review.round_id, [])
        kind = "quality_check_random" if "overall" in drawn_by else "quality_check_class"
    return persons_answer(
        [seen["taxon"] for seen in review.observations],
        bad_quality=review.image_quality == ImageQuality.BAD_QUALITY,
        observer=review.observer,
        kind=kind,
        comment=review.comment,
    )


def _csv(lines: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
