"""Inserting what may be there already."""

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from varanger.common.catalog.database import WriteSession


def insert_ignore(session: WriteSession, table: type[SQLModel]) -> "postgresql.Insert | sqlite.Insert":
    """An `INSERT … ON CONFLICT DO NOTHING` for the session's database."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
