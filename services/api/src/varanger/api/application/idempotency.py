"""`Idempotency-Key`: a POST that is sent again is not carried out again, but answered as it was.

A claim, a row without a status, is committed before anything is changed, so that of two gateways one carries the
request out. Its holder renews it while it works. A gateway that dies leaves it behind; whoever asks again once it was
not renewed for `CLAIM_S` takes it over.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, update
from sqlmodel import col

from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import IdempotencyKey
from varanger.common.catalog.upsert import insert_ignore
from varanger.common.clock import now

CLAIM_S = 60.0
KEPT_S = 2 * 86_400.0


class InProgress(Exception):
    """The same request is being carried out, or was by a gateway that died just now."""


class OtherRequest(Exception):
    """The key was used for something else."""


@dataclass(frozen=True)
class Answer:
    """What a request was answered, and will be again."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Asked:
    """Who asks for what, under which key."""

    project_id: str
    caller: str
    key: str
    fingerprint: str
    """sha256 of everything that makes it this request and no other."""


@dataclass
class Claim:
    """The right to carry the request out, as long as nobody else took it over."""

    asked: Asked
    begun_at: datetime

    def is_held(self) -> ColumnElement[bool]:
        """The row, while it is still this claim's."""
        return and_(
            col(IdempotencyKey.caller) == self.asked.caller,
            col(IdempotencyKey.key) == self.asked.key,
            col(IdempotencyKey.begun_at) == self.begun_at,
            col(IdempotencyKey.status).is_(None),
        )


async def claim(catalog: Catalog, asked: Asked) -> Claim | Answer:
    """The claim to carry it out now, or the answer it was given before.

    Raises:
        InProgress: somebody else carries it out.
        OtherRequest: the key stands for another request.
        DependencyDown: the catalog does not answer.
    """
    moment = now()
    row = IdempotencyKey(
        project_id=asked.project_id,
        caller=asked.caller,
        key=asked.key,
        fingerprint=asked.fingerprint,
        begun_at=moment,
    )
    async with catalog.writing() as session:
        insert = insert_ignore(session, IdempotencyKey).values(row.model_dump()).returning(col(IdempotencyKey.key))
        if (await session.execute(insert)).scalar_one_or_none() is not None:
            return Claim(asked, moment)
        found = await session.get(IdempotencyKey, (asked.caller, asked.key))
        if found is None:
            raise InProgress  # given up between the two statements
        kept_for = timedelta(seconds=CLAIM_S if found.status is None else KEPT_S)
        counts = moment - found.begun_at <= kept_for
        # An abandoned claim still says what was asked: who comes with something else is told so.
        if found.fingerprint != asked.fingerprint and (counts or found.status is None):
            raise OtherRequest
        if counts and found.status is None:
            raise InProgress
        if counts and found.status is not None:
            return Answer(found.status, **(found.answer or {}))
        abandoned = and_(
            col(IdempotencyKey.caller) == asked.caller,
            col(IdempotencyKey.key) == asked.key,
            col(IdempotencyKey.begun_at) == found.begun_at,
        )
        anew = {"fingerprint": asked.fingerprint, "status": None, "answer": None, "begun_at": moment}
        take = update(IdempotencyKey).where(abandoned).values(anew).returning(col(IdempotencyKey.key))
        if (await session.execute(take)).scalar_one_or_none() is None:  # another took it over at the same moment
            raise InProgress
    return Claim(asked, moment)


async def renew(catalog: Catalog, held: Claim) -> bool:
    """Say that the work goes on; False where the claim was taken over."""
    moment = now()
    async with catalog.writing() as session:
        renewed = await session.execute(
            update(IdempotencyKey).where(held.is_held()).values(begun_at=moment).returning(col(IdempotencyKey.key))
        )
        still_held = renewed.scalar_one_or_none() is not None
    if still_held:
        held.begun_at = moment
    return still_held


async def finish(catalog: Catalog, held: Claim, answer: Answer) -> None:
    """Keep the answer for whoever asks again. Nothing happens where the claim was taken over."""
    kept = {"headers": answer.headers, "body": answer.body}
    async with catalog.writing() as session:
        await session.execute(
            update(IdempotencyKey).where(held.is_held()).values(status=answer.status, answer=kept, begun_at=now())
        )


async def release(catalog: Catalog, held: Claim) -> None:
    """Nothing came of it: the same key may try again at once."""
    async with catalog.writing() as session:
        await session.execute(delete(IdempotencyKey).where(held.is_held()))


async def forget_idempotency_keys(catalog: Catalog) -> None:
    """Remove what nobody asks for any more."""
    limit = now() - timedelta(seconds=KEPT_S)
    async with catalog.writing() as session:
        await session.execute(delete(IdempotencyKey).where(col(IdempotencyKey.begun_at) < limit))
