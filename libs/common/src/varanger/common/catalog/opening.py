"""Opens the catalog for a process: answering, and of the revision this code knows."""

from varanger.common.catalog.database import Catalog, open_catalog
from varanger.common.process import Wiring, until_up


async def wired_catalog(wiring: Wiring) -> Catalog:
    """The process's catalog.

    Raises:
        RevisionUnknown: the schema is not the one this code was written for.
    """

    async def opener() -> Catalog:
        catalog = open_catalog(wiring.settings.catalog_url)
        await until_up(catalog.check_revision, wiring.stop)
        return catalog

    return await wiring.once("catalog", opener)
