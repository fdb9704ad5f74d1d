"""Idempotency keys and the check of digests, on both databases."""

import asyncio
import hashlib
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from varanger.api.adapters import upload_rows
from varanger.api.application import idempotency
from varanger.api.application.idempotency import Answer, Asked, Claim, InProgress, OtherRequest
from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import IdempotencyKey, Project, Upload
from varanger.common.clock import now
from varanger.common.words import Lane, MediaState

ASKED = Asked("*", "caller", "key", "f" * 64)
ANSWER = Answer(201, {"location": "/v1/ä"}, '{"a": 1}')


async def outcomes(catalog: Catalog, count: int) -> tuple[list[Claim], Counter[str]]:
    """What `count` requests at once are told."""

    async def one() -> Claim | Answer | Exception:
        try:
            return await idempotency.claim(catalog, ASKED)
        except (InProgress, OtherRequest) as refused:
            return refused

    found = await asyncio.gather(*(one() for _ in range(count)))
    return [each for each in found if isinstance(each, Claim)], Counter(type(each).__name__ for each in found)


async def age(catalog: Catalog, seconds: float) -> None:
    async with catalog.writing() as session:
        await session.execute(update(IdempotencyKey).values(begun_at=now() - timedelta(seconds=seconds)))


async def test_of_many_claims_at_once_one_is_held_until_it_is_answered(catalog: Catalog) -> None:
    [held], told = await outcomes(catalog, 8)
    assert told == {"Claim": 1, "InProgress": 7}
    await idempotency.finish(catalog, held, ANSWER)
    assert await idempotency.claim(catalog, ASKED) == ANSWER
    with pytest.raises(OtherRequest):
        await idempotency.claim(catalog, replace(ASKED, fingerprint="0" * 64))
    assert isinstance(await idempotency.claim(catalog, replace(ASKED, caller="other")), Claim)


async def test_an_abandoned_claim_is_taken_over_by_one_and_its_holder_changes_nothing_more(catalog: Catalog) -> None:
    held = await idempotency.claim(catalog, ASKED)
    assert isinstance(held, Claim)
    await age(catalog, idempotency.CLAIM_S + 1)
    [heir], told = await outcomes(catalog, 8)
    assert told == {"Claim": 1, "InProgress": 7}
    assert not await idempotency.renew(catalog, held)
    await idempotency.finish(catalog, held, Answer(500, {}, "late"))
    await idempotency.release(catalog, held)
    assert await idempotency.renew(catalog, heir)
    await idempotency.finish(catalog, heir, ANSWER)
    assert await idempotency.claim(catalog, ASKED) == ANSWER


async def test_a_claim_that_is_given_up_can_be_made_again_at_once(catalog: Catalog) -> None:
    held = await idempotency.claim(catalog, ASKED)
    assert isinstance(held, Claim)
    assert await idempotency.renew(catalog, held)
    await idempotency.release(catalog, held)
    assert isinstance(await idempotency.claim(catalog, ASKED), Claim)


async def test_an_old_answer_is_as_good_as_forgotten(catalog: Catalog) -> None:
    held = await idempotency.claim(catalog, ASKED)
    assert isinstance(held, Claim)
    await idempotency.finish(catalog, held, ANSWER)
    await age(catalog, idempotency.KEPT_S + 1)
    [_], told = await outcomes(catalog, 4)
    assert told == {"Claim": 1, "InProgress": 3}


async def test_known_content_is_the_projects_own_and_an_unknown_project_is_told_apart(catalog: Catalog) -> None:
    def upload(project: str, content: bytes) -> Upload:
        return Upload(
            project_id=project,
            deployment_id="d",
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=1,
            original_name="a.jpg",
            incoming_key="incoming/a",
            lane=Lane.LIVE,
            state=MediaState.PENDING,
        )

    own, other = upload("ridge", b"a"), upload("tundra", b"b")
    again = Upload(**own.model_dump(exclude={"media_id"}) | {"duplicate_of": own.media_id})
    async with catalog.writing() as session:
        session.add_all([Project(project_id=project) for project in ("ridge", "tundra", "empty")])
        session.add_all([own, other, again])
    asked = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(998)] + [own.sha256, other.sha256]
    async with catalog.reading() as session:
        found = {project: await upload_rows.known_of_project(session, project, asked) for project in ("ridge", "empty")}
        assert found == {"ridge": {own.sha256: own.media_id}, "empty": {}}
        assert await upload_rows.known_of_project(session, "nowhere", asked) is None
