"""API keys: made once, kept as a hash, looked up on every request."""

from collections.abc import Iterable

from varanger.api.adapters import key_rows
from varanger.api.domain.access import EVERY_PROJECT, NO_OWN_LIMITS, PREFIX, Caller, KeyLimits, Scope, hash_key, new_key
from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import ApiKey


async def create_key(
    catalog: Catalog,
    *,
    scopes: Iterable[Scope],
    project_id: str = EVERY_PROJECT,
    label: str = "",
    limits: KeyLimits = NO_OWN_LIMITS,
) -> str:
    """Make a key and keep its hash. The plain text is returned this once and can never be had again.

    Args:
        catalog: where the hash is kept.
        scopes: what the key allows; at least one.
        project_id: the project it is bound to, or `*`.
        label: what it is for, shown in histories (`gateway-north`, `anna`).
        limits: how much it may ask of each gateway.

    Raises:
        ValueError: no scope.
        DependencyDown: the catalog does not answer.
    """
    chosen = sorted(set(scopes))
    if not chosen:
        raise ValueError(f"scopes: a key needs at least one of {', '.join(Scope)}")
    key = new_key()
    async with catalog.writing() as session:
        session.add(
            ApiKey(
                project_id=project_id,
                key_sha256=hash_key(key),
                label=label,
                scopes=list(chosen),
                requests_per_minute=limits.requests_per_minute,
                bytes_per_hour=limits.bytes_per_hour,
            )
        )
    return key


async def find_caller(catalog: Catalog, key: str) -> Caller | None:
    """Who holds this key, or None where there is no such key (any more).

    Raises:
        DependencyDown: the catalog does not answer.
    """
    if not key.startswith(PREFIX):
        return None
    async with catalog.reading() as session:
        row = await key_rows.find_live(session, hash_key(key))
    if row is None:
        return None
    name = row.label or f"key {row.key_id.hex[-8:]}"
    limits = KeyLimits(row.requests_per_minute, row.bytes_per_hour)
    return Caller(name, row.project_id, frozenset(Scope(scope) for scope in row.scopes), row.key_id, limits)
