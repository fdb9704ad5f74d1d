"""Exports on both databases: the same order and names, no session held while a reader is slow, videos as one media."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import col

from varanger.api.adapters import export_rows
from varanger.api.application.exports import export_final_table, export_names
from varanger.api.domain.export_names import Template
from varanger.common.catalog import Catalog
from varanger.common.catalog.database import ReadSession
from varanger.common.catalog.tables import Deployment, Media, PredictionRow, Project, Release, Review, Upload
from varanger.common.ids import new_id

NIGHT = datetime(2024, 5, 6, 23, 59, 50)
RELEASE = "a" * 64


def media_row(number: int, deployment: str, captured_at: datetime | None, **more: object) -> tuple[Upload, Media]:
    media_id, digest = new_id(), f"{number:064x}"
    upload = Upload(
        media_id=media_id,
        project_id="p",
        deployment_id=deployment,
        sha256=digest,
        bytes=1,
        original_name=f"IMG_{number:04d}.JPG",
        original_path=f"DCIM/IMG_{number:04d}.JPG",
        incoming_key=f"incoming/p/{media_id}",
        lane="live",
        state="media",
    )
    fields = {
        "media_id": media_id,
        "project_id": "p",
        "deployment_id": deployment,
        "key": f"media/p/{media_id}",
        "view_key": f"views/p/{media_id}.jpg",
        "name": f"own_{number:04d}.jpg",
        "sha256": digest,
        "bytes": 1,
        "media_type": "image/jpeg",
        "width": 4,
        "height": 3,
        "captured_at": captured_at,
    }
    return upload, Media(**{**fields, **more})


@pytest.fixture
async def season(catalog: Catalog) -> AsyncIterator[Catalog]:
    """Two cameras at one site, one of them with a clock that was wrong, and another site."""
    async with catalog.writing() as session:
        session.add(Project(project_id="p", release_id=RELEASE))
        stage = {"classes": ["fox", "hare"]}
        session.add(
            Release(project_id="p", release_id=RELEASE, name="r", kind="two_stage", manifest={"stages": {"g": stage}})
        )
        for deployment, location, camera in (("r1", "ridge", "c1"), ("r2", "ridge", "c2"), ("v", "valley", None)):
            session.add(Deployment(project_id="p", deployment_id=deployment, location_id=location, camera_id=camera))
        for row in (
            *media_row(1, "r1", NIGHT),
            *media_row(2, "r1", NIGHT + timedelta(seconds=15)),
            *media_row(3, "r2", NIGHT + timedelta(hours=1), clock_correction_s=-3595.4),
            *media_row(4, "r2", NIGHT + timedelta(hours=1), clock_correction_s=-3589.6),
            *media_row(5, "v", NIGHT),
            *media_row(6, "r1", None),
        ):
            session.add(row)
    yield catalog


async def table(pieces: AsyncIterator[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join([piece async for piece in pieces]))))


async def test_numbers_follow_the_corrected_time_across_the_cameras_of_a_site(season: Catalog) -> None:
    found = await table(export_names(season, "p", template=Template.BOHNER))
    assert [(row["name"], row["export_name"], row["captured_at_local"]) for row in found] == [
        ("own_0001.jpg", "ridge_2024-05-06_0001.JPG", "2024-05-06T23:59:50"),
        ("own_0003.jpg", "ridge_2024-05-06_0002.JPG", "2024-05-06T23:59:55"),
        ("own_0004.jpg", "ridge_2024-05-07_0001.JPG", "2024-05-07T00:00:00"),
        ("own_0002.jpg", "ridge_2024-05-07_0002.JPG", "2024-05-07T00:00:05"),
        ("own_0006.jpg", "own_0006.jpg", ""),
        ("own_0005.jpg", "valley_2024-05-06_0001.JPG", "2024-05-06T23:59:50"),
    ]
    assert found[0]["original_path"] == "DCIM/IMG_0001.JPG"
    assert (found[0]["deployment"], found[0]["sha256"]) == ("r1", f"{1:064x}")
    named = await table(export_final_table(season, "p", names=Template.CAMTRAPR))
    assert {(row["image_name"], row["date"], row["time"]) for row in named if row["site"] == "ridge"} == {
        ("ridge__c1__2024-05-06__23-59-50(1).JPG", "2024-05-06", "23:59:50"),
        ("ridge__c2__2024-05-06__23-59-55(1).JPG", "2024-05-06", "23:59:55"),
        ("ridge__c2__2024-05-07__00-00-00(1).JPG", "2024-05-07", "00:00:00"),
        ("ridge__c1__2024-05-07__00-00-05(1).JPG", "2024-05-07", "00:00:05"),
        ("own_0006.jpg", "NA", "NA"),
    }


@pytest.mark.parametrize("correction", [0.5, -0.5, 0.49, -0.51, 86_399.5, -31_622_400.5, 1e-9])
async def test_both_databases_order_by_the_domains_local_time(season: Catalog, correction: float) -> None:
    """A second on either side of midnight: each day must come in one piece."""
    async with season.writing() as session:
        for number in range(10, 20):
            at = datetime(2024, 1, 1) + timedelta(seconds=number - 15)
            for row in media_row(number, "v", at, clock_correction_s=correction):
                session.add(row)
            for row in media_row(number + 100, "v", at + timedelta(seconds=round(correction * 2) / 2)):
                session.add(row)
    async with season.reading() as reading:
        files = [file async for page in export_rows.files_by_day(reading, "p") for file in page]
    times = [file.local_time for file in files if file.location_id == "valley"]
    assert times == sorted(times)


async def test_a_slow_reader_holds_no_session(season: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    open_sessions = 0
    enter, leave = ReadSession.__aenter__, ReadSession.__aexit__

    async def entered(self: ReadSession) -> ReadSession:
        nonlocal open_sessions
        open_sessions += 1
        return await enter(self)

    async def left(self: ReadSession, *why: object) -> None:
        nonlocal open_sessions
        open_sessions -= 1
        await leave(self, *why)

    monkeypatch.setattr(ReadSession, "__aenter__", entered)
    monkeypatch.setattr(ReadSession, "__aexit__", left)
    for make in (
        lambda: export_names(season, "p", template=Template.BOHNER),
        lambda: export_final_table(season, "p"),
    ):
        async with aclosing(make()) as pieces:
            async for _ in pieces:
                assert open_sessions == 0


async def test_many_stalled_readers_leave_the_catalog_to_others(season: Catalog) -> None:
    stalled = [export_final_table(season, "p") for _ in range(12)]
    for pieces in stalled:
        await anext(pieces)
    async with season.reading() as session:
        assert len(list(await session.scalars(select(Media)))) == 6
    for pieces in stalled:
        await pieces.aclose()


async def test_a_video_is_one_media_that_has_seen_what_its_frames_have(season: Catalog) -> None:
    upload, video = media_row(7, "v", NIGHT, name="own_0007.mp4", media_type="video/mp4", frame_numbers=[0, 30, 60])
    video.label, video.confidence, video.release_id = "hare", 0.9, RELEASE
    frames = [("fox", 0.6), ("hare", 0.9), ("blank", 0.7)]
    async with season.writing() as session:
        session.add(upload)
        session.add(video)
        for number, (label, confidence) in enumerate(frames):
            for release_id in (RELEASE, "b" * 64):
                session.add(frame_answer(video.media_id, release_id, number * 30, label, confidence))
    found = await table(export_final_table(season, "p", names=Template.BOHNER))
    rows = [row for row in found if row["image_name"].endswith(".MP4")]
    assert {row["class_id"]: (row["presence_automatic"], row["confidence_automatic"]) for row in rows} == {
        "empty": ("0", "NA"),
        "fox": ("1", "0.6"),
        "hare": ("1", "0.9"),
    }
    assert len(rows) == 3
    assert len(await table(export_names(season, "p", template=Template.DEFAULT))) == 7


def frame_answer(media_id: UUID, release_id: str, frame: int, label: str, confidence: float) -> PredictionRow:
    seen = [] if label == "blank" else [{"taxon": label, "count": 1}]
    boxes = [{"stage": "g", "label": label, "confidence": confidence, "bbox": [0, 0, 1, 1]}] if seen else []
    return PredictionRow(
        media_id=media_id,
        release_id=release_id,
        frame_number=frame,
        project_id="p",
        purpose="intake",
        state="classified",
        lane="live",
        label=label,
        confidence=confidence,
        answer={"label": label, "confidence": confidence, "observations": seen, "detections": boxes},
    )


async def test_what_people_saw_after_the_classes_were_read_has_its_row(season: Catalog) -> None:
    """The reader is slow, and a reviewer is not."""
    pieces = export_final_table(season, "p")
    await anext(pieces)
    async with season.writing() as session:
        media = (await session.scalars(select(Media).where(col(Media.name) == "own_0001.jpg"))).one()
        seen = [{"taxon": "wolf", "count": 1}]
        session.add(Review(project_id="p", media_id=media.media_id, observer="x", observations=seen))
    text = "".join([piece async for piece in pieces])
    assert "own_0001.jpg,wolf,NA,1,NA,x" in text
