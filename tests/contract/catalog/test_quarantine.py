"""A quarantined file's way back to ingest: whoever says what, in whatever order, on both catalogs."""

import asyncio
import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlmodel import col

from varanger.api.adapters import quarantine_rows
from varanger.api.application.dead_letters import open_dead_letters, replay
from varanger.api.application.reconcile import reconcile, send_everything_again
from varanger.api.application.release_quarantined import DeploymentUnknown, NotQuarantined, release_quarantined
from varanger.api.application.sweep import sweep_recorded, sweep_rowless
from varanger.common.adapters.bus_memory import MemoryBus
from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import Media, Outbox, Quarantine, Upload
from varanger.common.clock import now
from varanger.common.messages import MediaClassified, MediaUnpacked, MediaUploaded, Mend
from varanger.common.topology import INGEST, RECORDER
from varanger.common.words import MediaState, Prediction, Purpose

SAID = Mend(captured_at=datetime(2024, 5, 6, 7, 8, 9), accept_as_is=True)


async def release(site: Any, media_id: UUID, mend: Mend = SAID, deployment: str | None = None) -> None:
    await release_quarantined(site.catalog, media_id, mend, deployment_id=deployment, by="ecologist")


async def held(site: Any, name: str = "IMG.JPG") -> UUID:
    """A file that ingest refused, with its object where ingest put it."""
    media_id: UUID = await site.accept(name)
    await site.objects.put(f"quarantine/p/{media_id}", b"bytes")
    await site.record(site.quarantined(media_id))
    return media_id


async def listed(site: Any, **filters: Any) -> list[UUID]:
    wanted = {"reason": None, "deployment_id": None, "limit": 100, "after": None} | filters
    async with site.catalog.reading() as session:
        return [one.upload.media_id for one in await quarantine_rows.page(session, "p", **wanted)]


async def test_a_released_file_is_sent_to_ingest_with_what_the_person_said(site: Any) -> None:
    media_id = await held(site)
    assert await site.counts() == {"received": 1, "quarantined": 1}
    await release(site, media_id, deployment="e")
    assert await site.counts() == {"received": 1, "pending": 1}
    (sent,) = await site.sent(MediaUploaded)
    assert (sent.intake_number, sent.mend, sent.incoming_key) == (2, SAID, f"quarantine/p/{media_id}")
    assert sent.deployment.location_id == "south"
    row = await site.row(Quarantine, media_id)
    assert row.released_at is not None
    assert Mend.model_validate(row.mend) == SAID
    assert await site.history(media_id) == ["quarantined", "released"]
    assert await listed(site) == [media_id], "until it is media it can be looked up there"
    await site.record(site.stored(media_id, deployment_id="e"))
    assert (await site.row(Media, media_id)).deployment_id == "e"
    assert await site.counts() == {"received": 1, "pending": 1}
    assert await listed(site) == []


async def test_of_two_who_release_at_once_one_wins(site: Any) -> None:
    media_id = await held(site)
    outcomes = await asyncio.gather(*(release(site, media_id) for _ in range(4)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, NotQuarantined)]
    assert (outcomes.count(None), len(refused)) == (1, 3)
    assert {refusal.state for refusal in refused} == {MediaState.PENDING}
    assert len(await site.sent(MediaUploaded)) == 1
    assert (await site.row(Upload, media_id)).intake_number == 2


async def test_what_is_not_quarantined_is_not_released_and_neither_into_an_unknown_deployment(site: Any) -> None:
    waiting, media = await site.accept(), await site.accept()
    await site.put_in_force(None)
    await site.record(site.stored(media))
    for media_id, state in ((waiting, MediaState.PENDING), (media, MediaState.MEDIA)):
        with pytest.raises(NotQuarantined) as refused:
            await release(site, media_id)
        assert refused.value.state is state
    bad = await held(site)
    with pytest.raises(DeploymentUnknown, match="'nowhere'"):
        await release(site, bad, deployment="nowhere")
    assert await site.counts() == {"received": 3, "pending": 1, "media": 1, "quarantined": 1}
    assert await site.sent(MediaUploaded) == []


async def test_verdicts_of_earlier_intakes_are_void_and_a_new_one_counts_in_any_order(site: Any) -> None:
    """The first verdict comes late, often, and around the second; only the second says where the file is."""
    for order in set(itertools.permutations([1, 1, 2, 2])):
        media_id = await held(site)
        await release(site, media_id)
        counted = False
        for intake_number in order:
            await site.record(site.quarantined(media_id, reason=f"intake_{intake_number}", intake_number=intake_number))
            counted = counted or intake_number == 2
            assert (await site.row(Upload, media_id)).state == ("quarantined" if counted else "pending")
        row = await site.row(Quarantine, media_id)
        assert (row.reason, row.released_at, Mend.model_validate(row.mend)) == ("intake_2", None, SAID)
        assert await site.history(media_id) == ["quarantined", "released", "quarantined"]
        await release(site, media_id, Mend())
        assert (await site.sent(MediaUploaded))[-1].intake_number == 3
        await site.record(site.quarantined(media_id, intake_number=2), site.stored(media_id))
        assert (await site.row(Upload, media_id)).state == "pending", "its answer was asked for"


async def test_what_ingest_stored_for_the_deployment_before_is_not_what_was_asked_for(site: Any) -> None:
    media_id = await held(site)
    await release(site, media_id, deployment="e")
    await site.record(site.stored(media_id, deployment_id="d"))
    assert await site.rows(Media) == []
    assert await site.counts() == {"received": 1, "pending": 1}
    await site.record(site.stored(media_id, deployment_id="e"), site.stored(media_id, deployment_id="d"))
    assert (await site.row(Media, media_id)).deployment_id == "e"


async def test_an_archive_may_be_released_and_then_unpacked(site: Any) -> None:
    archive = await held(site, "card.zip")
    await release(site, archive)
    await site.record(MediaUnpacked(media_id=archive, entries=()))
    assert await listed(site) == []
    await site.record(site.quarantined(archive), site.quarantined(archive, intake_number=2))
    assert (await site.row(Upload, archive)).state == "unpacked"
    assert await sweep_recorded(site.catalog, site.objects) is False


async def test_the_quarantined_copy_goes_only_after_the_file_is_recorded_as_stored(site: Any, catalog: Catalog) -> None:
    media_id = await held(site)
    first, second = f"incoming/p/{media_id}", f"quarantine/p/{media_id}"
    await sweep_recorded(catalog, site.objects)
    assert await site.keys() == {second}
    await release(site, media_id)
    await sweep_recorded(catalog, site.objects)
    assert await site.keys() == {second}, "ingest is about to read it"
    await site.record(site.quarantined(media_id, intake_number=2))
    await sweep_recorded(catalog, site.objects)
    assert await site.keys() == {second}, "refused again, these are its only bytes"
    await release(site, media_id)
    await site.objects.put(f"media/p/d/{media_id}.jpg", b"bytes")
    await site.record(site.stored(media_id))
    await sweep_recorded(catalog, site.objects)
    assert await site.keys() == {f"media/p/d/{media_id}.jpg"}
    assert (await site.row(Upload, media_id)).swept_at is not None
    assert first not in await site.keys()


async def test_a_release_before_the_sweeper_came_leaves_nothing_behind(site: Any, catalog: Catalog) -> None:
    media_id = await held(site)
    await release(site, media_id)
    assert await sweep_rowless(catalog, site.objects, 3600.0) == 0
    assert await sweep_rowless(catalog, site.objects, -60.0) == 1
    assert await site.keys() == {f"quarantine/p/{media_id}"}


async def test_a_release_while_the_sweeper_is_at_work_is_not_taken_for_swept(site: Any, catalog: Catalog) -> None:
    media_id = await held(site)

    class Slow:
        """Somebody releases the file while its first object is being removed."""

        async def delete(self, key: str) -> None:
            await site.objects.delete(key)
            await release(site, media_id)

    await sweep_recorded(catalog, Slow())  # type: ignore[arg-type]
    assert (await site.row(Upload, media_id)).swept_at is None
    await site.record(site.stored(media_id))
    await sweep_recorded(catalog, site.objects)
    assert await site.keys() == set()


async def test_what_was_stored_in_spite_of_a_quarantine_leaves_no_copy_there(site: Any, catalog: Catalog) -> None:
    media_id = await held(site)
    await sweep_recorded(catalog, site.objects)
    await site.record(site.stored(media_id))
    await sweep_recorded(catalog, site.objects)
    assert await site.keys() == set()


async def test_a_released_file_that_stands_still_is_sent_again_with_its_mend(site: Any, catalog: Catalog) -> None:
    media_id, other = await held(site), await held(site)
    await release(site, media_id, deployment="e")
    async with catalog.writing() as session:
        await session.execute(
            update(Upload)
            .where(col(Upload.media_id).in_([media_id, other]))
            .values(progress_at=now() - timedelta(hours=1))
        )
    bus = MemoryBus((0.01,))
    await bus.start()
    await _forget_outbox(site)
    assert await reconcile(catalog, bus, now() - timedelta(minutes=10)) == 1
    (sent,) = await site.sent(MediaUploaded)
    assert (sent.media_id, sent.intake_number, sent.mend) == (media_id, 2, SAID)
    assert (sent.incoming_key, sent.deployment.deployment_id) == (f"quarantine/p/{media_id}", "e")
    assert await send_everything_again(catalog) == 1
    await bus.close()


async def _forget_outbox(site: Any) -> None:
    async with site.catalog.writing() as session:
        for row in await site.rows(Outbox):
            await session.delete(row)


async def test_a_released_file_whose_ingest_dies_is_failed_and_its_letter_replayable(
    site: Any, catalog: Catalog
) -> None:
    media_id = await held(site)
    await release(site, media_id)
    (sent,) = await site.sent(MediaUploaded)
    await site.bury(sent, INGEST[0].name)
    assert await site.counts() == {"received": 1, "failed": 1}
    with pytest.raises(NotQuarantined, match="'failed'"):
        await release(site, media_id)
    (letter,) = await open_dead_letters(catalog)
    await replay(catalog, [letter.dead_letter_id], by="test")
    assert await site.counts() == {"received": 1, "pending": 1}
    await site.record(site.quarantined(media_id, intake_number=2))
    assert await site.counts() == {"received": 1, "quarantined": 1}


async def test_letters_about_earlier_intakes_hold_nothing_back(site: Any, catalog: Catalog) -> None:
    media_id = await site.accept()
    verdict = site.quarantined(media_id)
    await site.bury(verdict, RECORDER[0].name)
    assert await site.counts() == {"received": 1, "failed": 1}
    await site.record(verdict)
    assert await site.counts() == {"received": 1, "quarantined": 1}
    await release(site, media_id)
    assert await open_dead_letters(catalog) == []
    assert await site.counts() == {"received": 1, "pending": 1}
    await site.bury(site.quarantined(media_id, reason="empty_file"), RECORDER[0].name, "late")
    assert await open_dead_letters(catalog) == []
    assert await site.counts() == {"received": 1, "pending": 1}


async def test_the_list_is_filtered_and_paged_in_order_of_arrival(site: Any, catalog: Catalog) -> None:
    ids = [await held(site) for _ in range(5)]
    await release(site, ids[3], deployment="e")
    await site.record(site.quarantined(ids[3], reason="wrong_type", intake_number=2))
    assert await listed(site) == ids
    assert await listed(site, reason="wrong_type") == [ids[3]]
    assert await listed(site, deployment_id="e") == [ids[3]]
    assert await listed(site, limit=2, after=ids[1]) == ids[2:4]
    await site.record(site.stored(ids[0]))
    prediction = Prediction(label="vole", confidence=0.9, route="global")
    await site.record(
        MediaClassified(media_id=ids[0], release_id=site.release, purpose=Purpose.INTAKE, prediction=prediction)
    )
    assert await listed(site) == ids[1:]
    assert await site.counts() == {"received": 5, "media": 1, "quarantined": 4}
