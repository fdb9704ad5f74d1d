"""Alembic's entry: runs on the connection that `migrate` hands it, in one transaction."""

from alembic import context
from sqlmodel import SQLModel

from varanger.common.catalog import tables

assert tables  # noqa: S101 - imported so that SQLModel.metadata holds every table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
