import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate


@pytest.fixture(params=["sqlite", "postgres"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def catalog(catalog_url: str) -> AsyncIterator[Catalog]:
    """A migrated catalog of either kind."""
    await asyncio.to_thread(migrate, catalog_url)
    catalog = open_catalog(catalog_url)
    yield catalog
    await catalog.close()
