"""Catalog and object store for one command: of the embedded mode's data folder, or as the environment says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from varanger.app.embedded import embedded_settings
from varanger.common.adapters import open_object_store
from varanger.common.catalog import Catalog, open_catalog
from varanger.common.ports.objects import ObjectStore
from varanger.common.settings import Settings


def _settings(data: Path | None) -> Settings:
    return Settings() if data is None else embedded_settings(data)


@asynccontextmanager
async def opened_catalog(data: Path | None) -> AsyncIterator[Catalog]:
    """The catalog, closed afterwards.

    Raises:
        RevisionUnknown: it was made by another version, or not migrated.
    """
    catalog = open_catalog(_settings(data).catalog_url)
    try:
        await catalog.check_revision()
        yield catalog
    finally:
        await catalog.close()


@asynccontextmanager
async def opened_objects(data: Path | None) -> AsyncIterator[ObjectStore]:
    """The object store, closed afterwards."""
    objects = open_object_store(_settings(data).objects_url)
    try:
        yield objects
    finally:
        await objects.close()
