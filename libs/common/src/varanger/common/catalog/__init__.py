"""The catalog: one database that says what is known. Tables, sessions, migrations, outbox, inbox, leases, history."""

from varanger.common.catalog.database import Catalog, open_catalog

__all__ = ["Catalog", "open_catalog"]
