"""Media that follow their deployment and what people say of their dates, on both catalogs; and no file that does."""

import asyncio
import csv
import io
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, select, text
from sqlmodel import col
from tests.contract.catalog.cards import NOON, accept, change, expected, follow, metadata, partition, record, sha256

from varanger.api.application.apply_deployments import DeploymentApplier
from varanger.api.application.exports import export_final_table
from varanger.api.application.record_releases import register
from varanger.api.application.release_quarantined import release_quarantined
from varanger.api.application.set_date import set_date
from varanger.common.adapters.objects_file import FileObjectStore
from varanger.common.catalog import Catalog, migrations, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Deployment, DeploymentHistory, Event, Media, Outbox, Upload
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaClassified, MediaStored, MediaUploaded, Mend, ReleaseRegistered
from varanger.common.releases import ReleaseManifest, StageModel
from varanger.common.words import Prediction, Purpose


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
    async with catalog.reading() as session:
        held = (await session.scalars(select(Upload))).one()
    assert held.state == "quarantined"
    await release_quarantined(catalog, held.media_id, Mend(), deployment_id=None, by="hb")
    async with catalog.reading() as session:
        sent = Envelope.from_body((await session.scalars(select(Outbox))).one().body).payload
        assert isinstance(sent, MediaUploaded)
        assert (sent.media_id, sent.incoming_key, sent.intake_number) == (held.media_id, "quarantine/p/zip", 2)
        assert (await session.get_one(Upload, held.media_id)).state == "pending"
    await catalog.close()


def _old_rows(connection: Any) -> None:
    """A deployment with an offset, three media and a zip that nobody could take apart then, as the first tables had them."""
    utc = "2026-06-01 10:00:00+00"
    connection.execute(text(f"INSERT INTO project (project_id, title, created_at) VALUES ('p', '', '{utc}')"))  # noqa: S608
    connection.execute(
        text(
            "INSERT INTO deployment (project_id, deployment_id, location_id, camera_setup, blind_periods, time_zone,"  # noqa: S608
            f" clock_correction_s, created_at) VALUES ('p', 'd', 'site', 'default', '[]', 'Etc/UTC', -3600, '{utc}')"
        )
    )
    zipped = {"id": new_id().hex, "sha": "a" * 64, "utc": "2026-06-01 10:00:00+00:00"}
    connection.execute(
        text(
            "INSERT INTO upload (media_id, project_id, deployment_id, sha256, bytes, original_name, incoming_key, lane,"
            " state, received_at, progress_at, swept_at) VALUES (:id, 'p', 'd', :sha, 1, 'card.zip', 'incoming/p/zip',"
            " 'live', 'quarantined', :utc, :utc, :utc)"
        ),
        zipped,
    )
    connection.execute(
        text(
            "INSERT INTO quarantine (media_id, project_id, deployment_id, key, sha256, bytes, reason, detail,"
            " quarantined_at) VALUES (:id, 'p', 'd', 'quarantine/p/zip', :sha, 1, 'unsupported_type', '', :utc)"
        ),
        zipped,
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
