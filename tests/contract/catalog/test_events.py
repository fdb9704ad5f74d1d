"""Events on both catalogs: the same whatever comes when, in whatever batches, by however many recorders."""

import asyncio
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlmodel import col
from tests.contract.catalog.cards import accept, change, expected, follow, metadata, partition, record

from varanger.api.adapters import event_rows
from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Media
from varanger.common.ids import new_id
from varanger.common.messages import MediaClassified, MediaMetadata, MediaStored, Message
from varanger.common.words import Prediction, Purpose

SAID = st.builds(
    metadata,
    st.one_of(st.none(), st.integers(0, 300), st.sampled_from([10.25, 10.5, 70.5])),
    st.sampled_from(["", "1 1", "1 3", "2 3", "3 3"]),
    st.sampled_from([None, None, 1, 2]),
    st.booleans(),
)


def test_media_in_any_order_and_batches_come_to_the_same_events(catalog_url: str) -> None:
    migrate(catalog_url)
    with asyncio.Runner() as runner:
        catalog = open_catalog(catalog_url)
        number = iter(range(10**6))

        @given(
            st.lists(SAID, min_size=1, max_size=14), st.sampled_from([0.0, 20.0, 60.0]), st.randoms(), st.integers(1, 5)
        )
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        def arrive(said: list[MediaMetadata], gap: float, chance: random.Random, size: int) -> None:
            deployment = f"d{next(number)}"

            async def come() -> None:
                facts = await accept(catalog, deployment, said, gap=gap)
                shuffled = list(facts)
                chance.shuffle(shuffled)
                shuffled += chance.sample(shuffled, len(shuffled) // 3)  # some come twice
                for start in range(0, len(shuffled), size):
                    await record(catalog, shuffled[start : start + size])
                assert await partition(catalog, deployment) == expected(deployment, facts, gap)

            runner.run(come())

        arrive()
        runner.run(catalog.close())


async def test_bursts_that_come_days_late_come_together_and_leave_no_empty_event(catalog: Catalog) -> None:
    facts = await accept(catalog, "d", [metadata(seconds) for seconds in (0, 50, 100, 150, 200)])
    for index in (0, 4, 2):
        await record(catalog, [facts[index]])
    assert len(await partition(catalog, "d")) == 3
    await record(catalog, [facts[3]])
    assert len(await partition(catalog, "d")) == 2
    await record(catalog, [facts[1]])
    assert await partition(catalog, "d") == expected("d", facts, 60.0)
    assert len(await partition(catalog, "d")) == 1


async def test_only_the_neighbourhood_of_a_new_media_is_looked_at(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from varanger.api.adapters import event_rows

    facts = await accept(catalog, "d", [metadata(100 * index) for index in range(120)])
    await record(catalog, facts[:60] + facts[61:])
    seen: list[int] = []
    plain = event_rows.shots_within

    async def counted(*given: Any) -> list[event_rows.KnownShot]:
        found = await plain(*given)
        seen.append(len(found))
        return found

    monkeypatch.setattr(event_rows, "shots_within", counted)
    await record(catalog, [facts[60]])
    assert sum(seen) <= 4


async def test_two_recorders_at_once_on_one_deployment_find_the_same_events_and_never_wait_for_each_other(
    catalog: Catalog, catalog_url: str
) -> None:
    chance = random.Random(3)
    said = [metadata(chance.randrange(3000), chance.choice(["", "", "1 2", "2 2"])) for _ in range(160)]
    facts = await accept(catalog, "d", said)
    other = open_catalog(catalog_url)

    def answer(fact: Message) -> MediaClassified:
        assert isinstance(fact, MediaStored)
        prediction = Prediction(label="vole", confidence=0.9, route="classifier")
        return MediaClassified(
            media_id=fact.media_id, release_id="a" * 64, purpose=Purpose.INTAKE, prediction=prediction
        )

    async def take(recorder: Catalog, share: list[Message]) -> None:
        chance.shuffle(share)
        told: list[Message] = []
        for start in range(0, len(share), 8):
            batch = share[start : start + 8]
            # Answers about media of earlier batches travel with new media: rows of many change in one transaction.
            await record(recorder, [*batch, *told])
            told = [answer(fact) for fact in batch]
        await record(recorder, told)

    async def reapply() -> None:
        for gap in (30.0, 90.0, 60.0):
            await change(other, "d", event_gap_s=gap)
            await follow(other, chunk=16)

    await asyncio.gather(take(catalog, facts[::2]), take(other, facts[1::2]), reapply())
    await follow(catalog)
    await other.close()
    assert await partition(catalog, "d") == expected("d", facts, 60.0)
    async with catalog.reading() as session:
        labelled = select(func.count()).select_from(Media).where(col(Media.label) == "vole")
        assert await session.scalar(labelled) == len(facts)


async def test_a_chain_longer_than_a_query_has_room_for_is_changed_all_the_same(catalog: Catalog) -> None:
    [fact] = await accept(catalog, "d", [metadata(0)])
    await record(catalog, [fact])
    [(event_id, members)] = await partition(catalog, "d")
    [media_id] = members
    others = [new_id() for _ in range(70_000)]
    async with catalog.writing() as session:
        await event_rows.change_media(session, {media_id: {"event_id": "another"}}, others)
        names = [event_id, *(str(other) for other in others)]
        assert set(await event_rows.events(session, "p", names)) == {event_id}
        await event_rows.remove_empty(session, ("p", "d"), names)
        assert await event_rows.events(session, "p", [event_id]) == {}
