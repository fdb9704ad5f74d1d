"""`Catalog`: sessions on PostgreSQL or SQLite. Read and write sessions are different types, so that a query that
changes something cannot be handed a session that never commits."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from varanger.common.catalog.migrations import HEAD
from varanger.common.errors import DependencyDown, RevisionUnknown


class ReadSession(AsyncSession):
    """Sees one consistent state; nothing it changes is kept."""


class WriteSession(ReadSession):
    """One transaction, committed when its `async with` ends without an exception. Nobody else calls commit."""


class Catalog:
    """Opened by `open_catalog(url)`. SQLite: WAL, `synchronous=FULL`, one writer at a time by `BEGIN IMMEDIATE`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = urlsplit(url).scheme == "sqlite"
        if self.is_sqlite:
            path = url.removeprefix("sqlite:///")
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._writer = _sqlite_engine(path, "BEGIN IMMEDIATE", pool_size=1)
            self._reader = _sqlite_engine(path, "BEGIN", pool_size=4)
        else:
            self._writer = create_async_engine(url, pool_size=8, max_overflow=4, pool_pre_ping=True, pool_timeout=20)
            self._reader = self._writer

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[ReadSession]:
        """A session to read with.

        Raises:
            DependencyDown: the database does not answer.
        """
        with _database_faults():
            async with ReadSession(self._reader, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[WriteSession]:
        """A transaction: committed at the end, rolled back by any exception.

        Raises:
            DependencyDown: the database does not answer, or was too busy. Nothing was changed, or (a connection lost
                during commit) everything was: effects are idempotent, so try again.
        """
        with _database_faults():
            async with WriteSession(self._writer, expire_on_commit=False) as session, session.begin():
                yield session

    async def ping(self) -> None:
        """Raises DependencyDown where the database does not answer."""
        async with self.reading() as session:
            await session.execute(text("SELECT 1"))

    async def check_revision(self) -> None:
        """Refuse a schema this code was not written for.

        Raises:
            RevisionUnknown: with what to do.
            DependencyDown: the database does not answer.
        """
        with _database_faults():
            async with self._reader.connect() as connection:
                found = await connection.run_sync(_revision)
        if found != HEAD:
            raise RevisionUnknown(
                f"the catalog is at revision {found or 'none'}, this code knows {HEAD}: "
                + ("run `varanger migrate`" if found is None or found < HEAD else "start a newer Varanger")
            )

    async def close(self) -> None:
        """Let all connections go."""
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()


def open_catalog(url: str) -> Catalog:
    """`sqlite:///path` or `postgresql+psycopg://user:password@host:port/database`.

    Raises:
        ValueError: another scheme.
    """
    if urlsplit(url).scheme not in {"sqlite", "postgresql+psycopg"}:
        raise ValueError(
            f"VARANGER_CATALOG_URL: {url.split(':', maxsplit=1)[0]}: is neither sqlite:/// nor postgresql+psycopg://"
        )
    return Catalog(url)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _sqlite_engine(path: str, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=pool_size, max_overflow=0, pool_timeout=60)

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        # The driver must not begin transactions of its own: https://docs.sqlalchemy.org/en/20/dialects/sqlite.html
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextmanager
def _database_faults() -> Iterator[None]:
    """Turn the driver's ways of saying "not there" into DependencyDown; everything else passes."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, ConnectionError) as error:
        raise DependencyDown(f"catalog: {str(error).splitlines()[0]}") from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise DependencyDown(f"catalog: {str(error).splitlines()[0]}") from error
