"""Who changes the rows that recorders change, beside a recorder: they take turns and never wait in a circle."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from sqlalchemy import text

from varanger.api.application.dead_letters import replay
from varanger.api.application.failed_answers import close_letters
from varanger.api.application.known_media import KnownMedia
from varanger.api.application.sweep import sweep_recorded
from varanger.common.catalog.tables import DeadLetterRow, Upload
from varanger.common.messages import MediaFailed
from varanger.common.words import Purpose


async def begun(catalog: Any, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Begun beside a transaction, and come as far as it can: SQLite's writers wait before they do anything."""
    task = asyncio.create_task(work)
    waiting = text("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    while not catalog.is_sqlite:
        assert not task.done()
        async with catalog.reading() as session:
            if await session.scalar(waiting):
                break
        await asyncio.sleep(0.01)
    return task


async def test_the_sweeper_takes_uploads_in_the_recorders_order(site: Any) -> None:
    earlier, later = await site.accept(), await site.accept()
    for media_id in (later, earlier):  # so the later one's row lies first in the table
        await site.record(site.stored(media_id))
    async with site.catalog.writing() as session:
        await KnownMedia.read(session, [earlier])
        sweeping = await begun(site.catalog, sweep_recorded(site.catalog, site.objects))
        await KnownMedia.read(session, [earlier, later])
    await sweeping
    assert all(upload.swept_at is not None for upload in await site.rows(Upload))


async def test_a_replay_while_the_answer_comes_in_sends_nothing(site: Any) -> None:
    media_id = await site.accept()
    fact = MediaFailed(media_id=media_id, release_id=site.release, purpose=Purpose.INTAKE, reason="no view")
    await site.record(site.stored(media_id), fact)
    [letter] = await site.rows(DeadLetterRow)
    async with site.catalog.writing() as session:
        await KnownMedia.read(session, [media_id])
        replaying = await begun(site.catalog, replay(site.catalog, [letter.dead_letter_id], by="operator"))
        await close_letters(session, [(media_id, site.release, letter.frame_number)])
    assert await replaying == 0
