"""Queries on API keys."""

from sqlalchemy import select
from sqlmodel import col

from varanger.common.catalog.database import ReadSession
from varanger.common.catalog.tables import ApiKey


async def find_live(session: ReadSession, key_sha256: str) -> ApiKey | None:
    """The key of this hash, unless it was revoked."""
    found = await session.execute(
        select(ApiKey).where(col(ApiKey.key_sha256) == key_sha256, col(ApiKey.revoked_at).is_(None))
    )
    return found.scalar_one_or_none()
