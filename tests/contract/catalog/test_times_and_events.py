"""Times and events on both catalogs: the same events whatever comes when, and media that follow their deployment."""

import asyncio
import csv
import hashlib
import io
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, func, select, text
from sqlmodel import col

from varanger.api.application.apply_deployments import DeploymentApplier
from varanger.api.application.change_deployment import change_deployment
from varanger.api.application.exports import export_final_table
from varanger.api.application.record_facts import fact_recorder
from varanger.api.application.record_releases import register
from varanger.api.application.set_date import set_date
from varanger.api.domain.events import Shot, bursts
from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.catalog import Catalog, migrations, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Deployment, DeploymentHistory, Event, Media, Project, Upload
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaClassified, MediaMetadata, MediaStored, Message, ReleaseRegistered
from varanger.common.releases import ReleaseManifest, StageModel
from varanger.common.words import CaptureMethod, Prediction, Purpose

NOON = datetime(2026, 6, 1, 12)
Partition = set[tuple[str, frozenset[UUID]]]


def metadata(seconds: float | None, numbers: str = "", event: int | None = None, lapse: bool = False) -> MediaMetadata:
    number, length = (int(word) for word in (numbers or "0 0").split())
    moment = None if seconds is None else NOON + timedelta(seconds=seconds)
    return MediaMetadata(
        captured_at=moment and moment.replace(microsecond=0),
        sub_seconds=(moment.microsecond / 1e6 or None) if moment else None,
        capture_method=CaptureMethod.TIME_LAPSE if lapse else CaptureMethod.ACTIVITY_DETECTION,
        sequence_number=number or None,
        sequence_length=length or None,
        event_number=event,
    )


async def accept(
    catalog: Catalog, deployment: str, said: Sequence[MediaMetadata], *, gap: float = 60.0
) -> list[Message]:
    """A deployment with uploads, and the facts that ingest would tell of them."""
    ids = [new_id() for _ in said]
    async with catalog.writing() as session:
        if await session.get(Project, "p") is None:
            session.add(Project(project_id="p"))
        if await session.get(Deployment, ("p", deployment)) is None:
            session.add(Deployment(project_id="p", deployment_id=deployment, location_id=deployment, event_gap_s=gap))
        for media_id in ids:
            session.add(
                Upload(
                    media_id=media_id,
                    project_id="p",
                    deployment_id=deployment,
                    sha256=sha256(media_id),
                    bytes=1,
                    original_name="IMG_0001.JPG",
                    incoming_key=f"incoming/p/{media_id}",
                    lane="live",
                    state="pending",
                )
            )
    return [
        MediaStored(
            media_id=media_id,
            deployment_id=deployment,
            key=f"media/p/{deployment}/{media_id}.jpg",
            view_key=f"views/p/{media_id}.jpg",
            name=f"{media_id}.jpg",
            sha256=sha256(media_id),
            bytes=1,
            media_type="image/jpeg",
            width=4,
            height=3,
            metadata=each,
        )
        for media_id, each in zip(ids, said, strict=True)
    ]


def sha256(media_id: UUID) -> str:
    return hashlib.sha256(media_id.bytes).hexdigest()


async def record(catalog: Catalog, facts: Sequence[Message]) -> None:
    await fact_recorder(catalog)([Envelope.wrap(fact, project_id="p", producer="test/1") for fact in facts])


def expected(deployment: str, facts: Sequence[Message], gap: float) -> Partition:
    """What the pure rule makes of all of them at once."""
    shots = []
    for fact in facts:
        assert isinstance(fact, MediaStored)
        said = fact.metadata
        at = said.captured_at and said.captured_at + timedelta(seconds=said.sub_seconds or 0)
        shots.append(
            Shot(
                media_id=fact.media_id,
                sha256=fact.sha256,
                at=at,
                capture_method=said.capture_method,
                serial_number=said.serial_number,
                sequence_number=said.sequence_number or 0,
                sequence_length=said.sequence_length or 0,
                event_number=said.event_number,
            )
        )
    return {
        (burst.event_id, frozenset(shot.media_id for shot in burst.members)) for burst in bursts(deployment, shots, gap)
    }


async def partition(catalog: Catalog, deployment: str) -> Partition:
    """The events as media say them; the event table must tell the same."""
    members: dict[str, set[UUID]] = {}
    times: dict[str, list[datetime]] = {}
    async with catalog.reading() as session:
        for media in await session.scalars(select(Media).where(col(Media.deployment_id) == deployment)):
            assert media.event_id is not None
            members.setdefault(media.event_id, set()).add(media.media_id)
            times.setdefault(media.event_id, []).extend([media.captured_at_utc] if media.captured_at_utc else [])
        rows = (await session.scalars(select(Event).where(col(Event.deployment_id) == deployment))).all()
    assert {row.event_id: row.media_count for row in rows} == {name: len(ids) for name, ids in members.items()}
    for row in rows:
        known = times[row.event_id]
        assert (row.event_start, row.event_end) == (min(known, default=None), max(known, default=None))
    return {(event_id, frozenset(ids)) for event_id, ids in members.items()}


async def follow(catalog: Catalog, chunk: int = 1000) -> int:
    """Run the recorder's loop until it has nothing to do; in how many steps."""
    applier, steps = DeploymentApplier(catalog, "test", chunk), 0
    while await applier.step():
        steps += 1
    return steps


async def change(catalog: Catalog, deployment: str, **fields: Any) -> None:
    async with catalog.writing() as session:
        assert await change_deployment(session, "p", deployment, fields, by="hb") is not None


SAID = st.builds(
    metadata,
    st.one_of(st.none(), st.integers(0, 300), st.sampled_from([10.25, 10.5, 70.5])),
    st.sampled_from(["", "1 1", "1 3", "2 3", "3 3"]),
    st.sampled_from([None, None, 1, 2]),
    st.booleans(),
)


def test_media_in_any_order_and_batches_come_to_the_same_events(catalog_url: str) -> None:
    migrate(catalog_url)
    with asyncio.Runner() as runner:
        catalog = open_catalog(catalog_url)
        number = iter(range(10**6))

        @given(
            st.lists(SAID, min_size=1, max_size=14), st.sampled_from([0.0, 20.0, 60.0]), st.randoms(), st.integers(1, 5)
        )
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        def arrive(said: list[MediaMetadata], gap: float, chance: random.Random, size: int) -> None:
            deployment = f"d{next(number)}"

            async def come() -> None:
                facts = await accept(catalog, deployment, said, gap=gap)
                shuffled = list(facts)
                chance.shuffle(shuffled)
                shuffled += chance.sample(shuffled, len(shuffled) // 3)  # some come twice
                for start in range(0, len(shuffled), size):
                    await record(catalog, shuffled[start : start + size])
                assert await partition(catalog, deployment) == expected(deployment, facts, gap)

            runner.run(come())

        arrive()
        runner.run(catalog.close())


async def test_bursts_that_come_days_late_come_together_and_leave_no_empty_event(catalog: Catalog) -> None:
    facts = await accept(catalog, "d", [metadata(seconds) for seconds in (0, 50, 100, 150, 200)])
    for index in (0, 4, 2):
        await record(catalog, [facts[index]])
    assert len(await partition(catalog, "d")) == 3
    await record(catalog, [facts[3]])
    assert len(await partition(catalog, "d")) == 2
    await record(catalog, [facts[1]])
    assert await partition(catalog, "d") == expected("d", facts, 60.0)
    assert len(await partition(catalog, "d")) == 1


async def test_only_the_neighbourhood_of_a_new_media_is_looked_at(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from varanger.api.adapters import event_rows

    facts = await accept(catalog, "d", [metadata(100 * index) for index in range(120)])
    await record(catalog, facts[:60] + facts[61:])
    seen: list[int] = []
    plain = event_rows.shots_within

    async def counted(*given: Any) -> list[event_rows.KnownShot]:
        found = await plain(*given)
        seen.append(len(found))
        return found

    monkeypatch.setattr(event_rows, "shots_within", counted)
    await record(catalog, [facts[60]])
    assert sum(seen) <= 4


async def test_two_recorders_at_once_on_one_deployment_find_the_same_events_and_never_wait_for_each_other(
    catalog: Catalog, catalog_url: str
) -> None:
    chance = random.Random(3)
    said = [metadata(chance.randrange(3000), chance.choice(["", "", "1 2", "2 2"])) for _ in range(160)]
    facts = await accept(catalog, "d", said)
    other = open_catalog(catalog_url)

    def answer(fact: Message) -> MediaClassified:
        assert isinstance(fact, MediaStored)
        prediction = Prediction(label="vole", confidence=0.9, route="classifier")
        return MediaClassified(
            media_id=fact.media_id, release_id="a" * 64, purpose=Purpose.INTAKE, prediction=prediction
        )

    async def take(recorder: Catalog, share: list[Message]) -> None:
        chance.shuffle(share)
        told: list[Message] = []
        for start in range(0, len(share), 8):
            batch = share[start : start + 8]
            # Answers about media of earlier batches travel with new media: rows of many change in one transaction.
            await record(recorder, [*batch, *told])
            told = [answer(fact) for fact in batch]
        await record(recorder, told)

    async def reapply() -> None:
        for gap in (30.0, 90.0, 60.0):
            await change(other, "d", event_gap_s=gap)
            await follow(other, chunk=16)

    await asyncio.gather(take(catalog, facts[::2]), take(other, facts[1::2]), reapply())
    await follow(catalog)
    await other.close()
    assert await partition(catalog, "d") == expected("d", facts, 60.0)
    async with catalog.reading() as session:
        labelled = select(func.count()).select_from(Media).where(col(Media.label) == "vole")
        assert await session.scalar(labelled) == len(facts)


async def test_a_correction_after_classification_moves_times_events_and_exports_and_no_object(
    catalog: Catalog, tmp_path: Path
) -> None:
    objects = FileObjectStore(tmp_path / "objects")
    facts = await accept(catalog, "d", [metadata(0), metadata(30.5), metadata(43100, lapse=True), metadata(None)])
    stage = StageModel(sha256="ab" * 32, bytes=1, classes=("empty", "vole"), input_size=32)
    release = ReleaseManifest(
        name="small", kind="classifier", description="", licence="CC0-1.0", stages={"classifier": stage}
    )
    async with catalog.writing() as session:
        manifest = release.model_dump(mode="json")
        fact = ReleaseRegistered(release_id=release.release_id, manifest=manifest, promote=True)
        await register(session, "p", fact)
    await record(catalog, facts)
    for fact in facts:
        assert isinstance(fact, MediaStored)
        await objects.put(fact.key, b"original")
        prediction = Prediction(label="vole", confidence=0.9, route="classifier")
        answer = MediaClassified(
            media_id=fact.media_id, release_id=release.release_id, purpose=Purpose.INTAKE, prediction=prediction
        )
        await record(catalog, [answer])
    before, files = await partition(catalog, "d"), await objects_in(tmp_path)
    assert await exported(catalog) == [
        ("2026-06-01", "12:00:00"), ("2026-06-01", "12:00:30"), ("2026-06-01", "23:58:20"), ("NA", "NA"),
    ]  # fmt: skip
    # A day and an hour behind, and the place is in Norway: local time moves by 25 hours, UTC by 23.
    await change(catalog, "d", time_zone="Europe/Oslo", clock_correction={"kind": "offset", "seconds": 90000})
    async with catalog.reading() as session:
        row = await session.get(Deployment, ("p", "d"))
        assert row is not None
        assert (row.revision, row.applied_revision) == (2, 1)
    assert await follow(catalog, chunk=1) >= 3
    assert await partition(catalog, "d") == before
    async with catalog.reading() as session:
        row = await session.get(Deployment, ("p", "d"))
        assert row is not None
        assert (row.revision, row.applied_revision) == (2, 2)
        starts = (await session.scalars(select(col(Event.event_start)).order_by(col(Event.event_start)))).all()
        assert [start and start.isoformat() for start in starts if start] == [
            "2026-06-02T11:00:00+00:00",
            "2026-06-02T22:58:20+00:00",
        ]
        media = (await session.scalars(select(Media))).all()
        assert {one.captured_at for one in media} == {fact.metadata.captured_at for fact in facts}  # type: ignore[attr-defined]
        assert {(one.key, one.name) for one in media} == {(fact.key, fact.name) for fact in facts}  # type: ignore[attr-defined]
        line = (await session.scalars(select(DeploymentHistory))).one()
        assert (line.by, line.revision, line.before["time_zone"]) == ("hb", 2, "Etc/UTC")
        assert line.after["clock_correction"] == {"kind": "offset", "seconds": 90000}
    assert await exported(catalog) == [
        ("2026-06-02", "13:00:00"), ("2026-06-02", "13:00:30"), ("2026-06-03", "00:58:20"), ("NA", "NA"),
    ]  # fmt: skip
    assert await objects_in(tmp_path) == files
    await objects.close()


async def exported(catalog: Catalog) -> list[tuple[str, str]]:
    table = csv.DictReader(io.StringIO("".join([piece async for piece in export_final_table(catalog, "p")])))
    return [(row["date"], row["time"]) for row in table if row["class_id"] == "vole"]


async def objects_in(folder: Path) -> dict[str, int]:
    def look() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}

    return await asyncio.to_thread(look)


async def test_another_gap_divides_and_joins_events_whatever_the_chunks(catalog: Catalog) -> None:
    chance = random.Random(5)
    said = [
        metadata(chance.randrange(4000), chance.choice(["", "", "1 2", "2 2"]), lapse=not index % 9)
        for index in range(150)
    ]
    facts = await accept(catalog, "d", [*said, metadata(None), metadata(None)])
    await record(catalog, facts)
    for chunk, gap in ((1, 0.0), (7, 300.0), (40, 5.0), (1000, 60.0)):
        await change(catalog, "d", event_gap_s=gap)
        await follow(catalog, chunk)
        assert await partition(catalog, "d") == expected("d", facts, gap), (chunk, gap)


async def test_media_stored_while_a_change_is_followed_use_the_deployment_as_it_is_now(catalog: Catalog) -> None:
    facts = await accept(catalog, "d", [metadata(200 * index) for index in range(30)])
    await record(catalog, facts[:20])
    await change(catalog, "d", clock_correction={"kind": "offset", "seconds": 60.0}, event_gap_s=250.0)
    applier = DeploymentApplier(catalog, "one", chunk=4)
    assert await applier.step()
    await record(catalog, facts[20:25])
    dead, other = applier, DeploymentApplier(catalog, "two", chunk=4)
    assert not await other.step(), "the lease is another's"
    del dead  # killed; the lease ends
    async with catalog.writing() as session:
        await session.execute(text("UPDATE lease SET held_until = '2020-01-01 00:00:00+00'"))
    await change(catalog, "d", clock_correction={"kind": "offset", "seconds": 90.0})
    while await other.step():
        await record(catalog, facts[25:])
    assert await partition(catalog, "d") == expected("d", facts, 250.0)
    async with catalog.reading() as session:
        assert set(await session.scalars(select(col(Media.clock_correction_s)))) == {90.0}
        row = await session.get(Deployment, ("p", "d"))
        assert row is not None
        assert row.applied_revision == row.revision == 3


async def test_a_change_that_changes_nothing_followed_is_kept_and_raises_no_revision(catalog: Catalog) -> None:
    await accept(catalog, "d", [])
    await change(catalog, "d", habitat="fen")
    await change(catalog, "d", habitat="fen")
    async with catalog.reading() as session:
        [line] = (await session.scalars(select(DeploymentHistory))).all()
        assert (line.revision, line.before, line.after) == (1, {"habitat": None}, {"habitat": "fen"})
    assert await follow(catalog) == 0


async def test_a_date_set_by_a_person_moves_one_media_between_events(catalog: Catalog) -> None:
    facts = await accept(catalog, "d", [metadata(second) for second in (0, 50, 100, 500, None)])
    await record(catalog, facts)
    assert [len(ids) for _, ids in sorted(await partition(catalog, "d"), key=lambda one: len(one[1]))] == [1, 1, 3]
    for index, second in ((1, 530), (4, 560), (0, 5000)):
        media_id = facts[index].media_id  # type: ignore[attr-defined]
        async with catalog.writing() as session:
            await set_date(session, media_id, NOON + timedelta(seconds=second), by="hb")
        facts[index] = facts[index].model_copy(update={"metadata": metadata(second)})
        assert await partition(catalog, "d") == expected("d", facts, 60.0)
    assert sorted(len(ids) for _, ids in await partition(catalog, "d")) == [1, 1, 3]


async def test_a_catalog_from_before_events_gets_them(catalog_url: str) -> None:
    def upgrade(revision: str) -> None:
        engine = create_engine(catalog_url)
        with engine.connect() as connection:
            config = Config()
            config.set_main_option("script_location", str(Path(migrations.__file__).parent))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            connection.commit()
            if revision == "0001":
                _old_rows(connection)
                connection.commit()
        engine.dispose()

    await asyncio.to_thread(upgrade, "0001")
    await asyncio.to_thread(migrate, catalog_url)
    catalog = open_catalog(catalog_url)
    assert await follow(catalog) > 0
    assert sorted(len(ids) for _, ids in await partition(catalog, "d")) == [1, 2]
    async with catalog.reading() as session:
        rows = (await session.scalars(select(Media).order_by(col(Media.captured_at)))).all()
        assert [row.clock_correction_s for row in rows] == [-3600.0] * 3
        assert rows[0].captured_at_utc is not None
        assert rows[0].captured_at_utc.isoformat() == "2026-06-01T11:00:00+00:00"
    assert await follow(catalog) == 0
    await catalog.close()


def _old_rows(connection: Any) -> None:
    """A deployment with an offset and three media, as the first tables had them."""
    utc = "2026-06-01 10:00:00+00"
    connection.execute(text(f"INSERT INTO project (project_id, title, created_at) VALUES ('p', '', '{utc}')"))  # noqa: S608
    connection.execute(
        text(
            "INSERT INTO deployment (project_id, deployment_id, location_id, camera_setup, blind_periods, time_zone,"  # noqa: S608
            f" clock_correction_s, created_at) VALUES ('p', 'd', 'site', 'default', '[]', 'Etc/UTC', -3600, '{utc}')"
        )
    )
    for second in (0, 30, 600):
        media_id = new_id()
        connection.execute(
            text(
                "INSERT INTO media (media_id, project_id, deployment_id, key, view_key, name, sha256, bytes, media_type,"
                " width, height, captured_at, exif_data, reader, flags, private, stored_at) VALUES (:id, 'p', 'd', 'k',"
                " 'v', 'n', :sha, 1, 'image/jpeg', 4, 3, :at, '{}', '', '[]', :no, :utc)"
            ),
            {
                "id": media_id.hex,
                "sha": sha256(media_id),
                "at": f"{NOON + timedelta(seconds=second)}.000000",
                "no": False,
                "utc": "2026-06-01 10:00:00+00:00",
            },
        )
