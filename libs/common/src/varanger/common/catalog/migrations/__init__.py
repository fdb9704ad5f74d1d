"""Alembic migrations, and `migrate`, which runs them under a lock so that two starting processes do not meet."""

HEAD = "0002"
"""The revision this code was written for."""
