"""Leases: who may do a thing that only one may do at a time, with a fencing token for its writes."""

from datetime import timedelta

from sqlalchemy import case, or_, update
from sqlmodel import col

from varanger.common.catalog.database import Catalog
from varanger.common.catalog.tables import Lease
from varanger.common.catalog.upsert import insert_ignore
from varanger.common.clock import now


async def take_lease(catalog: Catalog, name: str, holder: str, seconds: float) -> int | None:
    """Take or renew the lease; its fencing token (raised when the holder changes), or None while another holds it."""
    moment = now()
    async with catalog.writing() as session:
        blank = Lease(name=name, holder="", held_until=moment - timedelta(seconds=1))
        await session.execute(insert_ignore(session, Lease).values(blank.model_dump()))
        taken = await session.execute(
            update(Lease)
            .where(col(Lease.name) == name, or_(col(Lease.holder) == holder, col(Lease.held_until) < moment))
            .values(
                holder=holder,
                held_until=moment + timedelta(seconds=seconds),
                fencing_token=col(Lease.fencing_token) + case((col(Lease.holder) == holder, 0), else_=1),
            )
            .returning(col(Lease.fencing_token))
        )
        return taken.scalar_one_or_none()
