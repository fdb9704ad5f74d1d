"""Ingest: verify, read metadata, name, view and store each file. Stateless: no database, messages in and out."""

from varanger.common import __version__

PRODUCER = f"ingest/{__version__}"
"""How our facts are signed."""
