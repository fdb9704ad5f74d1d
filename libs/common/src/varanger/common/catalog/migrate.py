"""Bring a catalog to the revision this code knows. Run by `varanger migrate` and by the embedded mode."""

import fcntl
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError

from varanger.common.catalog.migrations import HEAD
from varanger.common.errors import DependencyDown

_LOCK = int.from_bytes(hashlib.sha256(b"varanger migrate").digest()[:7])


_ONE_PER_PROCESS = threading.Lock()
"""Alembic's context is a global of its module."""


def migrate(url: str) -> str:
    """Upgrade to the head revision; nothing happens where it is there already. Blocking: call it in a thread.

    One process migrates, the others wait: an advisory lock on PostgreSQL, a locked file beside a SQLite database.

    Raises:
        DependencyDown: the database does not answer.
    """
    with _ONE_PER_PROCESS, _closing_engine(url) as engine:
        try:
            if engine.dialect.name == "postgresql":
                with engine.connect() as connection, _advisory_lock(connection):
                    _upgrade(connection)
            else:
                path = Path(url.removeprefix("sqlite:///"))
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.with_suffix(".migrating").open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    with engine.connect() as connection:
                        _upgrade(connection)
        except OperationalError as error:
            raise DependencyDown(f"catalog: {str(error).splitlines()[0]}") from error
    return HEAD


@contextmanager
def _closing_engine(url: str) -> Iterator[Engine]:
    """A synchronous engine, disposed of at the end."""
    engine = create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _advisory_lock(connection: Connection) -> Iterator[None]:
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
    connection.commit()
    try:
        yield
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
        connection.commit()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
    connection.commit()
