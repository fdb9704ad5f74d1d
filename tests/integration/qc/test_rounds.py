"""A round's whole life in the catalog, on both databases: asked for, drawn, reviewed, estimated; each step twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import col

from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.opening import wired_catalog
from varanger.common.catalog.tables import (
    Deployment,
    Job,
    Media,
    PredictionRow,
    Project,
    QcRound,
    QcTask,
    Review,
)
from varanger.common.errors import BadMessage
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, Message, QcRoundRequested, ReviewRecorded
from varanger.common.process import Wiring, run_service
from varanger.common.settings import Settings
from varanger.common.words import JobKind
from varanger.qc.application.estimate_round import catch_up
from varanger.qc.application.handle import HandleQc
from varanger.qc.main import build

PROJECT, RELEASE = "varanger", "a" * 64
SPECIES = ("fox", "hare", "stoat")


@pytest.fixture(params=["sqlite", "postgresql"])
async def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Catalog]:
    sqlite = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    await asyncio.to_thread(migrate, url)
    opened = open_catalog(url)
    yield opened
    await opened.close()


def envelope(payload: Message) -> Envelope:
    return Envelope.wrap(payload, project_id=PROJECT, producer="test/0")


def machine(index: int) -> tuple[str, float]:
    """What the machine says of image `index`: three in four blank."""
    confidence = 0.5 + (index * 37 % 50) / 100
    return ("blank", 0.99) if index % 4 else (SPECIES[index // 4 % 3], confidence)


def truth(index: int) -> list[dict[str, object]]:
    """What is there: every tenth animal is a hare instead, every fiftieth blank a stoat."""
    label, _ = machine(index)
    if label == "blank":
        return [{"taxon": "stoat", "count": 1}] if index % 50 == 1 else []
    return [{"taxon": "hare" if index % 40 == 0 else label, "count": 2}]


async def fill(catalog: Catalog, images: int, *, release_id: str | None = RELEASE) -> list[UUID]:
    """A project with two camera setups; the last ten images show people, the five before have no answer yet."""
    ids = [new_id() for _ in range(images)]
    async with catalog.writing() as session:
        session.add(Project(project_id=PROJECT, release_id=release_id))
        for setup in ("heath", "snowbed"):
            session.add(Deployment(project_id=PROJECT, deployment_id=setup, location_id=setup, camera_setup=setup))
        for index, media_id in enumerate(ids):
            label, confidence = machine(index)
            private = index >= images - 10
            session.add(
                Media(
                    media_id=media_id,
                    project_id=PROJECT,
                    deployment_id=("heath", "snowbed")[index % 2],
                    key=f"media/{media_id}",
                    view_key=f"views/{media_id}",
                    name=f"{media_id}.jpg",
                    sha256=f"{index:064x}",
                    bytes=1,
                    media_type="image/jpeg",
                    width=1,
                    height=1,
                    private=private,
                )
            )
            answered = private or index < images - 15
            session.add(
                PredictionRow(
                    media_id=media_id,
                    release_id=RELEASE,
                    project_id=PROJECT,
                    purpose="intake",
                    lane="live",
                    state="classified" if answered else "requested",
                    label="person" if private else label if answered else None,
                    confidence=confidence if answered else None,
                    private=private,
                    answer={"label": label, "scores": {"global": {"fox": 0.01, "hare": 0.004}}},
                )
            )
    return ids


async def ask(catalog: Catalog, spec: dict[str, object]) -> UUID:
    async with catalog.writing() as session:
        job = Job(project_id=PROJECT, kind=JobKind.QC_ROUND, owner="qc", spec=spec)
        session.add(job)
    return job.job_id


async def state(catalog: Catalog, round_id: UUID) -> tuple[Job | None, QcRound | None, list[QcTask]]:
    async with catalog.reading() as session:
        tasks = await session.execute(
            select(QcTask).where(col(QcTask.round_id) == round_id).order_by(col(QcTask.position))
        )
        return await session.get(Job, round_id), await session.get(QcRound, round_id), list(tasks.scalars())


async def answer(catalog: Catalog, round_id: UUID, tasks: list[QcTask], ids: list[UUID]) -> list[Envelope]:
    reviews = [
        Review(
            project_id=PROJECT,
            media_id=task.media_id,
            round_id=round_id,
            observer="eivin",
            observations=truth(ids.index(task.media_id)),
        )
        for task in tasks
    ]
    async with catalog.writing() as session:
        session.add_all(reviews)
    return [
        envelope(ReviewRecorded(review_id=review.review_id, media_id=review.media_id, round_id=round_id))
        for review in reviews
    ]


async def test_a_round_is_drawn_once_and_estimated_from_its_reviews(catalog: Catalog) -> None:
    ids = await fill(catalog, 415)
    round_id = await ask(catalog, {"design": {"seed": 5, "overall": 60, "per_class": 12, "per_bin": 0}})
    handle = HandleQc(catalog)
    requested = envelope(QcRoundRequested(round_id=round_id))
    await handle([requested, requested])
    job, drawn, tasks = await state(catalog, round_id)
    assert job is not None and drawn is not None and drawn.report is not None
    assert job.state == "done"
    assert job.counts == {"frame": 400, "drawn": len(tasks), "unanswered": 5, "private": 10, "truncated": 0}
    assert drawn.report["reviewed"] == 0 and drawn.report["overall"] is None
    assert [task.position for task in tasks] == list(range(len(tasks)))
    assert {task.label for task in tasks} == {"blank", *SPECIES}
    assert not {task.media_id for task in tasks} & set(ids[-15:])
    assert all(0 < task.inclusion_probability < 1 and task.samples for task in tasks)
    assert {task.runner_up for task in tasks if task.label == "fox"} == {0.004}

    await handle([requested])
    assert [task.media_id for task in (await state(catalog, round_id))[2]] == [task.media_id for task in tasks]

    half = await answer(catalog, round_id, tasks[: len(tasks) // 2], ids)
    await handle(half)
    _, drawn, _ = await state(catalog, round_id)
    assert drawn is not None and drawn.report is not None
    assert drawn.report["reviewed"] == len(half) and not drawn.report["complete"]

    rest = await answer(catalog, round_id, tasks[len(tasks) // 2 :], ids)
    await handle([*rest, *half])
    _, drawn, _ = await state(catalog, round_id)
    assert drawn is not None and drawn.report is not None and drawn.estimated_at is not None
    report = drawn.report
    assert report["complete"]
    accuracy = report["overall"]["accuracy"]
    correct = sum(
        machine(index)[0] in {str(seen["taxon"]) for seen in truth(index) or [{"taxon": "blank"}]}
        for index in range(400)
    )
    assert accuracy["interval"][0] <= correct / 400 <= accuracy["interval"][1]
    assert set(report["setups"]) == {"heath", "snowbed"}
    before = report
    await handle(half)
    _, drawn, _ = await state(catalog, round_id)
    assert drawn is not None and drawn.report == before


async def test_truncated_media_are_left_out_and_named_and_a_video_is_one_media(catalog: Catalog) -> None:
    ids = await fill(catalog, 60)
    truncated, both, video, waiting, cut_video = ids[0], ids[-1], ids[1], ids[2], ids[4]
    flags = {truncated: ["truncated", "no_date"], both: ["truncated"], ids[3]: ["not_truncated"]}
    flags |= {waiting: ["truncated"], cut_video: ["truncated"]}
    async with catalog.writing() as session:
        for media in await session.scalars(select(Media)):
            media.flags = flags.get(media.media_id, [])
            if media.media_id in {video, cut_video}:
                media.media_type, media.frame_numbers = "video/mp4", [0, 30, 60]
                media.label, media.confidence, media.release_id = "fox", 0.7, RELEASE
        wanted = col(PredictionRow.media_id).in_([video, waiting, cut_video])
        for row in await session.scalars(select(PredictionRow).where(wanted)):
            if row.media_id == waiting:
                row.state, row.label, row.confidence = "requested", None, None
                continue
            await session.delete(row)
            for frame in (0, 30, 60):
                answer = {**row.model_dump(), "frame_number": frame, "label": "fox", "confidence": 0.7 - frame / 600}
                session.add(PredictionRow(**answer))
    round_id = await ask(catalog, {"design": {"overall": 60, "per_class": 60, "per_bin": 0}})
    await HandleQc(catalog)([envelope(QcRoundRequested(round_id=round_id))])
    job, drawn, tasks = await state(catalog, round_id)
    assert job is not None and drawn is not None
    left_out = {"unanswered": 6, "private": 10, "truncated": 2}
    assert drawn.frame["left_out"] == left_out
    assert job.counts == {"frame": 42, "drawn": 42, **left_out}
    assert len(tasks) == 42
    assert {task.media_id for task in tasks} == set(ids[:45]) - {truncated, waiting, cut_video}


async def test_only_the_review_in_force_counts_and_only_for_its_round(catalog: Catalog) -> None:
    await fill(catalog, 115)
    round_id = await ask(catalog, {"design": {"seed": 1, "overall": 30, "per_class": 0, "per_bin": 0}})
    handle = HandleQc(catalog)
    await handle([envelope(QcRoundRequested(round_id=round_id))])
    _, _, tasks = await state(catalog, round_id)
    first, second = tasks[0], tasks[1]

    def review(task: QcTask, taxon: str, **more: object) -> Review:
        fields = {"project_id": PROJECT, "media_id": task.media_id, "round_id": round_id, "observer": "x", **more}
        return Review(observations=[{"taxon": taxon, "count": 1}], **fields)

    async with catalog.writing() as session:
        session.add(review(first, first.label, rank="adjudicated"))
        session.add(review(first, "moose"))
        session.add(review(second, second.label))
        session.add(review(second, "moose", round_id=None))
    await handle([envelope(ReviewRecorded(review_id=new_id(), media_id=first.media_id, round_id=round_id))])
    _, drawn, _ = await state(catalog, round_id)
    assert drawn is not None and drawn.report is not None
    assert drawn.report["reviewed"] == 2
    assert drawn.report["overall"]["accuracy"]["raw"]["value"] == 1.0


@pytest.mark.parametrize(
    ("spec", "release_id", "says"),
    [
        ({}, None, "no release in force"),
        ({"release_id": "b" * 64}, RELEASE, "has answered no media"),
        ({"design": {"overall": -1}}, RELEASE, "design.overall"),
        ({"design": {"camera_setups": ["meadow"]}}, RELEASE, "meadow"),
    ],
)
async def test_a_round_that_cannot_be_drawn_fails_with_a_reason(
    catalog: Catalog, spec: dict[str, object], release_id: str | None, says: str
) -> None:
    await fill(catalog, 40, release_id=release_id)
    round_id = await ask(catalog, spec)
    await HandleQc(catalog)([envelope(QcRoundRequested(round_id=round_id))])
    job, drawn, tasks = await state(catalog, round_id)
    assert job is not None
    assert (job.state, drawn, tasks) == ("failed", None, [])
    assert says in job.message


async def test_a_round_nobody_asked_for_is_a_bad_message(catalog: Catalog) -> None:
    await fill(catalog, 20)
    handle = HandleQc(catalog)
    with pytest.raises(BadMessage):
        await handle([envelope(QcRoundRequested(round_id=new_id()))])
    with pytest.raises(BadMessage):
        await handle([envelope(ReviewRecorded(review_id=new_id(), media_id=new_id(), round_id=new_id()))])
    await handle([envelope(ReviewRecorded(review_id=new_id(), media_id=new_id()))])


async def test_reviews_whose_messages_were_lost_are_caught_up_with(catalog: Catalog) -> None:
    ids = await fill(catalog, 60)
    round_id = await ask(catalog, {})
    await HandleQc(catalog)([envelope(QcRoundRequested(round_id=round_id))])
    _, _, tasks = await state(catalog, round_id)
    await catch_up(catalog)
    _, drawn, _ = await state(catalog, round_id)
    assert drawn is not None and drawn.estimated_at is None
    await answer(catalog, round_id, tasks, ids)
    assert await catch_up(catalog) is False
    _, drawn, _ = await state(catalog, round_id)
    assert drawn is not None and drawn.report is not None and drawn.report["complete"]
    estimated_at = drawn.estimated_at
    await catch_up(catalog)
    _, drawn, _ = await state(catalog, round_id)
    assert drawn is not None and drawn.estimated_at == estimated_at


async def test_the_service_takes_its_messages_from_the_bus(tmp_path: Path) -> None:
    settings = Settings(bus_url="memory://", catalog_url=f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    await asyncio.to_thread(migrate, settings.catalog_url)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        wiring = Wiring(settings, stack, stop)
        service = await build(wiring)
        catalog, bus = await wired_catalog(wiring), await wiring.bus()
        await fill(catalog, 60)
        round_id = await ask(catalog, {})
        running = asyncio.create_task(run_service(service, stop))
        await bus.publish([envelope(QcRoundRequested(round_id=round_id))])
        async with asyncio.timeout(30):
            while (job := (await state(catalog, round_id))[0]) is None or job.state != "done":
                await asyncio.sleep(0.05)
        stop.set()
        await running


async def test_two_processes_draw_one_round(catalog: Catalog) -> None:
    await fill(catalog, 60)
    round_id = await ask(catalog, {})
    requested = envelope(QcRoundRequested(round_id=round_id))
    await asyncio.gather(*(HandleQc(catalog)([requested]) for _ in range(3)))
    job, drawn, tasks = await state(catalog, round_id)
    assert job is not None and drawn is not None
    assert job.state == "done"
    assert len({task.media_id for task in tasks}) == len(tasks) == 45
    assert drawn.design["seed"] == round_id.int & (2**63 - 1)
