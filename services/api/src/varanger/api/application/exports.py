"""Exports: the project's answers in formats that others read. So far Böhner's final table."""

import csv
import io
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, Literal

from varanger.api.adapters import export_rows
from varanger.api.adapters.export_rows import ExportedMedia
from varanger.api.domain.camera_time import local_time
from varanger.api.domain.final_table import (
    COLUMNS,
    EMPTY,
    BohnerNames,
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

Names = Literal["stored", "bohner"]


async def export_final_table(
    catalog: Catalog, project_id: str, *, names: Names = "stored"
) -> AsyncGenerator[str, None]:
    """Böhner's final table of a project as CSV text, in pieces; memory does not grow with the project.

    Its classes are those of the releases that answered, what people saw, `empty`, and `bad_quality` where it occurs.

    Args:
        catalog: where the answers are.
        project_id: whose.
        names: `image_name` as stored, or as `<site>_YYYY-MM-DD_NNNN.JPG`.

    Raises:
        DependencyDown: the catalog does not answer (any more).
    """
    async with catalog.reading() as session:
        known = {row.release_id: _classes(row) for row in await export_rows.releases_shown(session, project_id)}
        classes = await _table_classes(session, project_id, known)
        numbered = BohnerNames()
        yield _csv([COLUMNS])
        async for page in export_rows.media_in_order(session, project_id):
            lines: list[tuple[str, ...]] = []
            for each in page:
                image = _image(each, known)
                if names == "bohner":
                    image = _renamed(image, numbered.name(image))
                lines.extend(rows(image, classes))
            yield _csv(lines)


async def _table_classes(session: ReadSession, project_id: str, known: dict[str, frozenset[str]]) -> list[str]:
    classes = {class_id(taxon) for taxon in await export_rows.reviewed_taxa(session, project_id)} | {EMPTY}
    classes = classes.union(*known.values())
    if await export_rows.any_bad_review(session, project_id):
        classes.add(BAD_QUALITY)
    return sorted(classes)


def _classes(release: Release) -> frozenset[str]:
    stages: dict[str, dict[str, Any]] = release.manifest.get("stages", {})
    return frozenset(class_id(name) for stage in stages.values() for name in stage.get("classes", ()))


def _image(each: ExportedMedia, known: dict[str, frozenset[str]]) -> TableImage:
    media, deployment = each.media, each.deployment
    best = review_in_force(each.reviews)
    return TableImage(
        locality=deployment.location_name or "",
        site=deployment.location_id,
        captured_at=media.captured_at and local_time(media.captured_at, media.clock_correction_s),
        name=media.name,
        machine=_machine(each.answer, known.get(media.release_id or "", frozenset())),
        person=None if best is None else _person(best, each),
    )


def _machine(answer: dict[str, Any] | None, known: frozenset[str]) -> MachineAnswer | None:
    if answer is None:
        return None
    return machine_answer(
        answer["label"],
        answer["confidence"],
        [(box["label"], box["confidence"]) for box in answer.get("detections", ())],
        [each["taxon"] for each in answer.get("observations", ())],
        known,
    )


def _person(review: Review, each: ExportedMedia) -> PersonsAnswer:
    kind = "corrected_image_label"
    if review.round_id is not None:
        drawn_by = each.samples.get(review.round_id, [])
        kind = "quality_check_random" if "overall" in drawn_by else "quality_check_class"
    return persons_answer(
        [seen["taxon"] for seen in review.observations],
        bad_quality=review.image_quality == ImageQuality.BAD_QUALITY,
        observer=review.observer,
        kind=kind,
        comment=review.comment,
    )


def _renamed(image: TableImage, name: str) -> TableImage:
    return replace(image, name=name)


def _csv(lines: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
