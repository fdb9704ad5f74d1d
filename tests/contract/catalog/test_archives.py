"""An archive counts as one file until it is unpacked, and as its entries from then on: at every moment, on both catalogs."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import update
from sqlmodel import col

from varanger.api.adapters.media_rows import MediaFilter
from varanger.api.application.dead_letters import open_dead_letters, replay
from varanger.api.application.media_queries import find_media, list_media, whole_file
from varanger.api.application.reconcile import send_everything_again
from varanger.api.application.record_facts import fact_recorder
from varanger.api.application.sweep import sweep_recorded, sweep_rowless
from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import MediaHistory, Upload
from varanger.common.messages import MediaUnpacked, MediaUploaded, UnpackedEntry
from varanger.common.topology import INGEST, RECORDER
from varanger.common.words import MediaState


def unpacked(archive: UUID, *contents: str) -> MediaUnpacked:
    """What ingest says of a zip that holds these files."""
    return MediaUnpacked(
        media_id=archive,
        entries=tuple(
            UnpackedEntry(
                media_id=uuid5(archive, str(place)),
                incoming_key=f"incoming/p/{uuid5(archive, str(place))}",
                sha256=hashlib.sha256(content.encode()).hexdigest(),
                bytes=len(content),
                original_name=f"{place}.JPG",
                original_path=f"card/{place}.JPG",
            )
            for place, content in enumerate(contents)
        ),
    )


async def put_entries(site: Any, fact: MediaUnpacked) -> None:
    for entry in fact.entries:
        await site.objects.put(entry.incoming_key, b"entry")


async def test_the_entries_take_the_archives_place(site: Any, catalog: Catalog) -> None:
    archive = await site.accept("card.zip", lane="bulk")
    assert await site.counts() == {"received": 1, "pending": 1}
    fact = unpacked(archive, "one", "two", "three")
    await site.record(fact)
    assert await site.counts() == {"received": 3, "pending": 3}
    entries = [row for row in await site.rows(Upload) if row.archive_id == archive]
    assert {(row.deployment_id, row.lane, row.state, row.intake_number) for row in entries} == {
        ("d", "bulk", "pending", 1)
    }
    sent: list[MediaUploaded] = await site.sent(MediaUploaded)
    assert {one.media_id for one in sent} == {entry.media_id for entry in fact.entries}
    assert {(one.archive_id, one.deployment.location_id) for one in sent} == {(archive, "north")}
    assert {one.incoming_key for one in sent} == {entry.incoming_key for entry in fact.entries}
    assert await site.history(archive) == ["unpacked"]
    assert await site.history(fact.entries[0].media_id) == ["received"]
    file = await find_media(catalog, archive)
    assert file is not None
    assert file.upload.state == MediaState.UNPACKED
    assert list((await whole_file(catalog, file)).entries) == [entry.media_id for entry in fact.entries]
    listed = await list_media(catalog, MediaFilter(), limit=10)
    assert len(listed.files) == 3, "the list has as many files as were received"
    archives = await list_media(catalog, MediaFilter(state="unpacked"), limit=10)
    assert [each.upload.media_id for each in archives.files] == [archive]


async def test_any_number_of_deliveries_and_runs_of_ingest_give_the_same(site: Any) -> None:
    archive = await site.accept("card.zip")
    fact = unpacked(archive, "one", "two", "one")
    envelope = site.say(fact)
    for envelopes in ([envelope, envelope], [envelope], [site.say(fact), site.say(fact)]):
        await fact_recorder(site.catalog)(envelopes)
        assert await site.counts() == {"received": 3, "pending": 2, "duplicate": 1}
        assert len(await site.sent(MediaUploaded)) == 2
    assert len(await site.rows(MediaHistory)) == 4


async def test_recorders_at_once_record_an_archive_once_and_content_of_two_archives_once(site: Any) -> None:
    contents = [f"image {number}" for number in range(120)]
    first, second = await site.accept("a.zip"), await site.accept("b.zip")
    facts = [unpacked(first, *contents), unpacked(second, *reversed(contents))] * 2
    await asyncio.gather(*(fact_recorder(site.catalog)([site.say(fact)]) for fact in facts))
    assert await site.counts() == {"received": 240, "pending": 120, "duplicate": 120}
    assert len(await site.sent(MediaUploaded)) == 120


async def test_known_content_and_content_twice_in_the_archive_are_duplicates_of_the_first(site: Any) -> None:
    known = await site.accept("known.JPG", content="known")
    archive = await site.accept("card.zip")
    fact = unpacked(archive, "new", "known", "new")
    await site.record(fact)
    assert await site.counts() == {"received": 4, "pending": 2, "duplicate": 2}
    rows = {row.media_id: row.duplicate_of for row in await site.rows(Upload)}
    new, of_known, again = (entry.media_id for entry in fact.entries)
    assert rows == {known: None, archive: None, new: None, of_known: known, again: new}
    assert await site.history(known) == ["offered_again"]
    assert [one.media_id for one in await site.sent(MediaUploaded)] == [new]


async def test_an_empty_archive_is_no_file_at_all(site: Any) -> None:
    await site.record(unpacked(await site.accept("empty.zip")))
    assert await site.counts() == {"received": 0}


async def test_the_sweeper_removes_the_archive_and_its_duplicates_but_no_entry_before_it_is_recorded(
    site: Any, catalog: Catalog
) -> None:
    known = await site.accept("known.JPG", content="known")
    archive = await site.accept("card.zip")
    fact = unpacked(archive, "new", "known")
    await put_entries(site, fact)
    await sweep_recorded(catalog, site.objects)
    assert f"incoming/p/{archive}" in await site.keys(), "nothing is removed before it is recorded"
    await site.record(fact)
    assert not await sweep_recorded(catalog, site.objects)
    new, duplicate = (entry.media_id for entry in fact.entries)
    assert await site.keys() == {f"incoming/p/{known}", f"incoming/p/{new}"}
    await site.record(site.stored(new))
    await sweep_recorded(catalog, site.objects)
    assert await site.keys() == {f"incoming/p/{known}"}
    assert not [row for row in await site.rows(Upload) if row.swept_at is None and row.media_id != known]
    # A late repeat of ingest writes them again; no row needs them, so they go like what never had a row.
    await put_entries(site, fact)
    await sweep_recorded(catalog, site.objects)
    assert await sweep_rowless(catalog, site.objects, 3600.0) == 0
    assert await sweep_rowless(catalog, site.objects, -60.0) == 2
    assert await site.keys() == {f"incoming/p/{known}"}
    assert duplicate not in {row.media_id for row in await site.rows(Upload) if row.duplicate_of is None}


async def test_a_dead_archive_counts_as_one_failed_file_until_it_is_replayed(site: Any, catalog: Catalog) -> None:
    archive = await site.accept("card.zip")
    fact = unpacked(archive, "one", "two")
    await site.bury(fact, RECORDER[0].name)
    assert await site.counts() == {"received": 1, "failed": 1}
    (letter,) = await open_dead_letters(catalog)
    await replay(catalog, [letter.dead_letter_id], by="test")
    assert await site.counts() == {"received": 1, "pending": 1}
    await site.record(fact)
    assert await site.counts() == {"received": 2, "pending": 2}
    (upload,) = [row for row in await site.rows(Upload) if row.media_id == archive]
    again = site.say(fact).model_copy(update={"occurred_at": datetime(2026, 1, 1, tzinfo=UTC)})
    await fact_recorder(catalog)([again])
    assert upload.state == MediaState.UNPACKED
    late = (await site.sent(MediaUploaded))[0].model_copy(update={"media_id": archive})
    await site.bury(late, INGEST[0].name)
    assert await site.counts() == {"received": 2, "pending": 2}, "what dies after it was unpacked changes no count"


async def test_the_reconciler_sends_waiting_archives_and_entries_and_not_the_unpacked(
    site: Any, catalog: Catalog
) -> None:
    waiting, done = await site.accept("waiting.zip"), await site.accept("done.zip")
    fact = unpacked(done, "one")
    await site.record(fact)
    async with catalog.writing() as session:
        long_ago = datetime.now(UTC) - timedelta(hours=2)
        await session.execute(update(Upload).where(col(Upload.media_id).is_not(None)).values(progress_at=long_ago))
    assert await send_everything_again(catalog) == 2
    sent = {one.media_id for one in (await site.sent(MediaUploaded))[1:]}
    assert sent == {waiting, fact.entries[0].media_id}


async def test_a_quarantined_archive_stays_out_of_the_way_of_what_was_unpacked_since(site: Any) -> None:
    archive = await site.accept("card.zip")
    await site.record(unpacked(archive, "one"), site.quarantined(archive))
    assert await site.counts() == {"received": 1, "pending": 1}
    await site.record(site.stored(archive))
    assert await site.counts() == {"received": 1, "pending": 1}
