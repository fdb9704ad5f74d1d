"""What both catalogs promise."""

import asyncio
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, col

from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.history import remember
from varanger.common.catalog.inbox import take_new
from varanger.common.catalog.leases import take_lease
from varanger.common.catalog.outbox import send
from varanger.common.catalog.tables import MediaHistory, Outbox, Project
from varanger.common.errors import DependencyDown, RevisionUnknown
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, QcRoundRequested


def message() -> Envelope:
    return Envelope.wrap(QcRoundRequested(round_id=new_id()), project_id="p", producer="test/1")


async def test_a_transaction_is_kept_whole_or_not_at_all(catalog: Catalog) -> None:
    async with catalog.writing() as session:
        session.add(Project(project_id="kept"))
        send(session, "test", [message()])
    with pytest.raises(RuntimeError):
        async with catalog.writing() as session:
            session.add(Project(project_id="lost"))
            send(session, "test", [message()])
            await session.flush()
            raise RuntimeError("in the middle")
    async with catalog.reading() as session:
        assert [p.project_id for p in await session.scalars(select(Project))] == ["kept"]
        assert len((await session.scalars(select(Outbox))).all()) == 1


async def test_a_read_session_keeps_nothing(catalog: Catalog) -> None:
    async with catalog.reading() as session:
        session.add(Project(project_id="p"))
        await session.flush()
    async with catalog.reading() as session:
        assert await session.get(Project, "p") is None


async def test_what_was_committed_is_there_after_a_restart(catalog: Catalog, catalog_url: str) -> None:
    async with catalog.writing() as session:
        session.add(Project(project_id="p"))
    await catalog.close()
    again = open_catalog(catalog_url)
    async with again.reading() as session:
        project = await session.get(Project, "p")
        assert project is not None
        assert project.created_at.tzinfo is not None
    await again.close()


async def test_a_message_is_new_once(catalog: Catalog) -> None:
    first, second = message(), message()
    async with catalog.writing() as session:
        assert await take_new(session, "a", [first]) == {first.message_id}
    async with catalog.writing() as session:
        assert await take_new(session, "a", [first, second, second]) == {second.message_id}
    async with catalog.writing() as session:
        assert await take_new(session, "b", [first]) == {first.message_id}


async def test_a_message_whose_transaction_failed_is_new_again(catalog: Catalog) -> None:
    one = message()
    with pytest.raises(RuntimeError):
        async with catalog.writing() as session:
            assert await take_new(session, "a", [one])
            raise RuntimeError("effect failed")
    async with catalog.writing() as session:
        assert await take_new(session, "a", [one]) == {one.message_id}


async def test_a_lease_has_one_holder_and_a_token_that_grows_with_each_new_one(catalog: Catalog) -> None:
    first = await take_lease(catalog, "sweeper", "a", 0.2)
    assert first is not None
    assert await take_lease(catalog, "sweeper", "b", 0.2) is None
    assert await take_lease(catalog, "sweeper", "a", 0.2) == first
    await asyncio.sleep(0.3)
    second = await take_lease(catalog, "sweeper", "b", 5)
    assert second == first + 1
    assert await take_lease(catalog, "sweeper", "a", 5) is None


async def test_of_many_who_want_a_lease_one_gets_it(catalog: Catalog) -> None:
    tokens = await asyncio.gather(*(take_lease(catalog, "x", f"holder-{i}", 30) for i in range(8)))
    assert sum(token is not None for token in tokens) == 1


async def test_two_transactions_on_one_row_do_not_lose_a_change(catalog: Catalog) -> None:
    async with catalog.writing() as session:
        session.add(Project(project_id="p", title="0"))

    async def count() -> None:
        async with catalog.writing() as session:
            project = await session.get(Project, "p", with_for_update=True)
            assert project is not None
            await asyncio.sleep(0.01)
            project.title = str(int(project.title) + 1)

    await asyncio.gather(*(count() for _ in range(8)))
    async with catalog.reading() as session:
        assert await session.scalar(select(col(Project.title))) == "8"


async def test_a_broken_rule_is_an_error_of_ours_not_an_outage(catalog: Catalog) -> None:
    async with catalog.writing() as session:
        session.add(Project(project_id="p"))
    with pytest.raises(IntegrityError):
        async with catalog.writing() as session:
            session.add(Project(project_id="p"))


async def test_history_is_written_with_the_change(catalog: Catalog) -> None:
    media_id = new_id()
    async with catalog.writing() as session:
        remember(session, "p", media_id, "stored", "test/1", name="x.jpg")
    async with catalog.reading() as session:
        line = (await session.scalars(select(MediaHistory))).one()
        assert (line.media_id, line.what, line.details) == (media_id, "stored", {"name": "x.jpg"})


async def test_a_naive_time_is_refused(catalog: Catalog) -> None:
    with pytest.raises(Exception, match="naive time"):
        async with catalog.writing() as session:
            session.add(Project(project_id="p", created_at=datetime(2026, 1, 1)))


async def test_the_loop_goes_on_while_the_catalog_works(catalog: Catalog) -> None:
    async with catalog.writing() as session:
        session.add_all(Project(project_id=f"p{i}") for i in range(300))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with catalog.reading() as session:
        slow = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000) SELECT count(*) FROM n"
        await session.execute(text(slow))
    ticking.cancel()
    assert ticks > 5


async def test_a_lagging_loop_loses_nothing(catalog: Catalog) -> None:
    async def write(name: str) -> None:
        async with catalog.writing() as session:
            session.add(Project(project_id=name))
            await session.flush()
            time.sleep(0.05)  # noqa: ASYNC251 - the loop itself stands still, as under a long decode

    await asyncio.gather(*(write(f"p{i}") for i in range(10)))
    async with catalog.reading() as session:
        assert len((await session.scalars(select(Project))).all()) == 10


async def test_an_empty_database_is_refused_with_what_to_do(catalog_url: str) -> None:
    catalog = open_catalog(catalog_url)
    with pytest.raises(RevisionUnknown, match="run `varanger migrate`"):
        await catalog.check_revision()
    await catalog.close()


async def test_a_newer_schema_is_refused(catalog: Catalog) -> None:
    async with catalog.writing() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RevisionUnknown, match="start a newer Varanger"):
        await catalog.check_revision()


async def test_the_migrations_make_the_tables_the_code_speaks_of(catalog: Catalog) -> None:
    engine = create_engine(catalog.url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    engine.dispose()


async def test_processes_that_migrate_at_once_wait_for_each_other(catalog_url: str) -> None:
    code = f"from varanger.common.catalog.migrate import migrate; migrate({catalog_url!r})"
    starting = [asyncio.create_subprocess_exec(sys.executable, "-c", code) for _ in range(3)]
    assert [await process.wait() for process in await asyncio.gather(*starting)] == [0, 0, 0]
    catalog = open_catalog(catalog_url)
    await catalog.check_revision()
    await catalog.close()


async def test_a_database_that_is_not_there_is_a_dependency_down() -> None:
    catalog = open_catalog("postgresql+psycopg://nobody@127.0.0.1:9/none?connect_timeout=2")
    with pytest.raises(DependencyDown):
        await catalog.ping()
    await catalog.close()


def test_another_scheme_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="VARANGER_CATALOG_URL"):
        open_catalog(f"mysql:///{tmp_path}")
