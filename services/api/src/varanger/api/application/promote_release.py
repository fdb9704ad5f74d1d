"""Putting a release in force, and back: one compare-and-swap on the project, with an append-only record beside it."""

from sqlalchemy import select, update
from sqlmodel import col

from varanger.api import PRODUCER, SERVICE
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.outbox import send
from varanger.common.catalog.tables import Project, Promotion, Release
from varanger.common.errors import VarangerError
from varanger.common.messages import Envelope, ReleasePromoted


class PromotionRefused(VarangerError):
    """The project, the release, or the release in force is not what the caller thought; the text says which."""

    def __init__(self, text: str, current: str | None = None) -> None:
        super().__init__(text)
        self.current = current


async def promote(
    session: WriteSession, project_id: str, release_id: str, *, expected: str | None, by: str, kind: str = "promote"
) -> Promotion:
    """Put `release_id` in force if `expected` still is (None: no release is).

    Raises:
        PromotionRefused: unknown project or release, or another release came into force meanwhile.
    """
    if await session.get(Release, (project_id, release_id)) is None:
        raise PromotionRefused(f"release_id: {release_id} is not registered in project {project_id!r}")
    swapped = await session.execute(
        update(Project)
        .where(col(Project.project_id) == project_id, col(Project.release_id).is_not_distinct_from(expected))
        .values(release_id=release_id)
        .returning(col(Project.project_id))
    )
    if swapped.scalar_one_or_none() is None:
        current = await session.scalar(select(col(Project.release_id)).where(col(Project.project_id) == project_id))
        raise PromotionRefused(
            f"expected_current: {expected or 'none'} is not in force, {current or 'none'} is; look again and repeat",
            current,
        )
    promotion = Promotion(project_id=project_id, release_id=release_id, previous_release_id=expected, kind=kind, by=by)
    session.add(promotion)
    fact = ReleasePromoted(release_id=release_id, previous_release_id=expected)
    send(session, SERVICE, [Envelope.wrap(fact, project_id=project_id, producer=PRODUCER)])
    return promotion


async def rollback(session: WriteSession, project_id: str, *, expected: str | None, by: str) -> Promotion:
    """Put back in force what `expected` replaced.

    Raises:
        PromotionRefused: nothing to go back to, or `expected` is not in force.
    """
    last = await session.scalar(
        select(Promotion)
        .where(col(Promotion.project_id) == project_id, col(Promotion.release_id) == expected)
        .order_by(col(Promotion.promotion_id).desc())
        .limit(1)
    )
    if last is None or last.previous_release_id is None:
        raise PromotionRefused(f"project {project_id!r} has no earlier release to go back to")
    return await promote(session, project_id, last.previous_release_id, expected=expected, by=by, kind="rollback")
