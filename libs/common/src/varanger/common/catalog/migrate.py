"""Bring a catalog to the revision this code knows. Run by `varanger migrate` and by the embedded mode."""

import hashlib
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from varanger.common.catalog.migrations import HEAD
from varanger.common.errors import DependencyDown

_LOCK = int.from_bytes(hashlib.sha256(b"varanger migrate").digest()[:7])


def migrate(url: str) -> str:
    """Upgrade to the head revision; nothing happens where it is there already. Blocking: call it in a thread.

    On PostgreSQL an advisory lock, on SQLite an exclusive transaction lets one process migrate and the others wait.

    Raises:
        DependencyDown: the database does not answer.
    """
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
                connection.commit()
                try:
                    _upgrade(connection)
                finally:
                    connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                    connection.commit()
            else:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                connection.exec_driver_sql("PRAGMA busy_timeout=60000")
                connection.commit()
                _upgrade(connection)
    except OperationalError as error:
        raise DependencyDown(f"catalog: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()
    return HEAD


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
    connection.commit()
