"""A video is one media with an answer for each sampled frame: facts in any order, on both catalogs."""

import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from varanger.api.adapters import media_rows, upload_rows
from varanger.api.application.dead_letters import open_dead_letters, replay
from varanger.api.application.exports import export_final_table
from varanger.api.application.reconcile import send_everything_again
from varanger.api.application.request_classification import request_waiting
from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import Media, PredictionRow, Upload
from varanger.common.clock import now
from varanger.common.messages import ClassificationRequested, MediaClassified, MediaFailed
from varanger.common.topology import INFERENCE
from varanger.common.view_keys import frame_view_key
from varanger.common.words import Prediction, Purpose

FRAMES = (0, 30, 60)
RELEASE, LATER = "a" * 64, "b" * 64


def seen(
    media_id: UUID, frame: int, label: str = "vole", confidence: float = 0.9, *, release: str = RELEASE, **more: Any
) -> MediaClassified:
    purpose = more.pop("purpose", Purpose.INTAKE)
    prediction = Prediction(label=label, confidence=confidence, route=f"frame {frame}", **more)
    return MediaClassified(
        media_id=media_id, release_id=release, purpose=purpose, frame_number=frame, prediction=prediction
    )


def unseen(media_id: UUID, frame: int) -> MediaFailed:
    return MediaFailed(
        media_id=media_id, release_id=RELEASE, purpose=Purpose.INTAKE, frame_number=frame, reason="undecodable"
    )


async def test_each_frame_is_asked_for_with_its_own_view(site: Any) -> None:
    media_id = await site.accept("CLIP.MP4")
    await site.record(site.stored(media_id, frame_numbers=FRAMES, duration_s=3.0, frame_rate=30.0))
    await site.record(site.stored(media_id, frame_numbers=FRAMES))
    asked: list[ClassificationRequested] = await site.sent(ClassificationRequested)
    media = await site.row(Media, media_id)
    assert [one.frame_number for one in asked] == list(FRAMES)
    assert [one.view_key for one in asked] == [frame_view_key(media.view_key, frame) for frame in FRAMES]
    assert (media.frame_numbers, media.duration_s, media.frame_rate) == (list(FRAMES), 3.0, 30.0)
    assert await site.counts() == {"received": 1, "pending": 1}


async def test_a_video_is_media_when_every_frame_is_answered_and_failed_when_none_is_open(site: Any) -> None:
    whole, broken = await site.accept(), await site.accept()
    for media_id in (whole, broken):
        await site.record(site.stored(media_id, frame_numbers=FRAMES))
    for frame in FRAMES[:2]:
        await site.record(seen(whole, frame), unseen(broken, frame))
        assert await site.counts() == {"received": 2, "pending": 2}
    await site.record(seen(whole, FRAMES[2]), seen(broken, FRAMES[2]))
    assert await site.counts() == {"received": 2, "media": 1, "failed": 1}
    assert (await site.row(Media, broken)).label is None, "what some frames show is not yet an answer for the video"


async def test_any_order_and_any_repetition_show_the_same(site: Any) -> None:
    orders = list(itertools.permutations(range(5)))[::5]
    for order in orders:
        media_id = await site.accept()
        facts = [
            site.stored(media_id, frame_numbers=(0, 30)),
            unseen(media_id, 0),
            seen(media_id, 0, "blank", 0.97),
            seen(media_id, 30, "vole", 0.6),
            seen(media_id, 30, "vole", 0.6),
        ]
        for index in order:
            await site.record(facts[index], facts[index])
    media = await site.rows(Media)
    assert {(each.label, each.confidence, each.route) for each in media} == {("vole", 0.6, "frame 30")}
    assert await site.counts() == {"received": len(orders), "media": len(orders)}


async def test_a_blank_video_is_as_sure_as_its_least_sure_frame_and_one_with_a_person_is_private(site: Any) -> None:
    blank, person = await site.accept(), await site.accept()
    for media_id in (blank, person):
        await site.record(site.stored(media_id, frame_numbers=FRAMES))
    for frame, confidence in zip(FRAMES, (0.99, 0.7, 0.95), strict=True):
        await site.record(seen(blank, frame, "blank", confidence))
    await site.record(
        seen(person, 0, "person", 0.99, private=True), seen(person, 30, "vole", 0.4), seen(person, 60, "blank", 0.9)
    )
    media = {each.media_id: each for each in await site.rows(Media)}
    assert (media[blank].label, media[blank].confidence, media[blank].private) == ("blank", 0.7, False)
    assert (media[person].label, media[person].confidence, media[person].private) == ("vole", 0.4, True)


async def test_what_a_video_shows_is_the_answer_of_its_telling_frame(site: Any, catalog: Catalog) -> None:
    media_id = await site.accept()
    await site.record(site.stored(media_id, frame_numbers=FRAMES))
    await site.record(seen(media_id, 0, "vole", 0.5), seen(media_id, 30, "fox", 0.8), seen(media_id, 60, "fox", 0.8))
    async with catalog.reading() as session:
        (answer,) = (await media_rows.shown_answers(session, await site.rows(Media))).values()
    assert (answer["label"], answer["route"]) == ("fox", "frame 30"), "of equal frames the first"
    table = "".join([text async for text in export_final_table(catalog, "p")])
    assert table.count(f"{media_id}.jpg") == len({line.split(",")[5] for line in table.splitlines()[1:]}), "one media"


async def test_a_failed_frame_is_replayed_alone(site: Any, catalog: Catalog) -> None:
    media_id = await site.accept()
    await site.record(site.stored(media_id, frame_numbers=FRAMES))
    asked = {one.frame_number: one for one in await site.sent(ClassificationRequested)}
    await site.record(seen(media_id, 0), unseen(media_id, 30))
    await site.bury(asked[60], INFERENCE[0].name)
    assert await site.counts() == {"received": 1, "failed": 1}
    letters = await open_dead_letters(catalog)
    assert sorted(letter.frame_number for letter in letters) == [30, 60]
    (one,) = (letter for letter in letters if letter.frame_number == 60)
    await replay(catalog, [one.dead_letter_id], by="test")
    rows = {row.frame_number: row.state for row in await site.rows(PredictionRow)}
    assert rows == {0: "classified", 30: "failed", 60: "requested"}
    assert await site.counts() == {"received": 1, "pending": 1}
    await site.record(seen(media_id, 60))
    assert [letter.frame_number for letter in await open_dead_letters(catalog)] == [30], "an answer closes its frame's"
    await site.record(seen(media_id, 30))
    assert await open_dead_letters(catalog) == []
    assert await site.counts() == {"received": 1, "media": 1}


async def test_frames_that_stand_still_are_sent_again_and_answered_ones_are_not(site: Any, catalog: Catalog) -> None:
    media_id = await site.accept()
    await site.record(site.stored(media_id, frame_numbers=FRAMES))
    await site.record(seen(media_id, 30))
    assert await send_everything_again(catalog) == 2
    asked = await site.sent(ClassificationRequested)
    assert sorted(one.frame_number for one in asked) == [0, 0, 30, 60, 60]
    assert {one.view_key for one in asked} == {frame_view_key(f"views/p/{media_id}.jpg", frame) for frame in FRAMES}


async def test_a_video_that_waited_for_a_release_is_asked_for_whole_and_once(site: Any, catalog: Catalog) -> None:
    await site.put_in_force(None)
    media_id = await site.accept()
    await site.record(site.stored(media_id, frame_numbers=FRAMES))
    assert await site.counts() == {"received": 1, "media": 1}
    await site.put_in_force(RELEASE)
    assert [await request_waiting(catalog), await request_waiting(catalog)] == [1, 0]
    assert len(await site.sent(ClassificationRequested)) == len(FRAMES)
    assert await site.counts() == {"received": 1, "pending": 1}


async def test_frames_answered_in_the_shadow_show_nothing_until_they_count(site: Any, catalog: Catalog) -> None:
    await site.put_in_force(None)
    media_id = await site.accept()
    await site.record(site.stored(media_id, frame_numbers=FRAMES))
    for frame in FRAMES[:2]:
        await site.record(seen(media_id, frame, purpose=Purpose.SHADOW))
    assert (await site.row(Media, media_id)).label is None
    await site.put_in_force(RELEASE)
    await request_waiting(catalog)
    assert [one.frame_number for one in await site.sent(ClassificationRequested)] == [60], "only what is missing"
    await site.record(seen(media_id, 60))
    assert (await site.row(Media, media_id)).label == "vole"
    assert await site.counts() == {"received": 1, "media": 1}


async def test_another_release_shows_once_it_has_answered_every_frame(site: Any) -> None:
    media_id = await site.accept()
    await site.record(site.stored(media_id, frame_numbers=FRAMES))
    for frame in FRAMES:
        await site.record(seen(media_id, frame, "vole"))
    for frame, label in zip(FRAMES, ("vole", "vole", "lemming"), strict=True):
        await site.record(seen(media_id, frame, "lemming", 0.99, release=LATER, purpose=Purpose.RECLASSIFY))
        assert (await site.row(Media, media_id)).label == label
    assert await site.counts() == {"received": 1, "media": 1}


@pytest.mark.parametrize("frames", [(), tuple(range(60))])
async def test_a_video_is_one_file_of_the_bulk_backlog(site: Any, catalog: Catalog, frames: tuple[int, ...]) -> None:
    media_id, _ = await site.accept(lane="bulk"), await site.accept(lane="bulk")
    async with catalog.reading() as session:
        assert await upload_rows.bulk_backlog(session, 100) == 2
    await site.record(site.stored(media_id, frame_numbers=frames))
    async with catalog.reading() as session:
        assert await upload_rows.bulk_backlog(session, 100) == 2
        assert await upload_rows.bulk_backlog(session, 1) == 1
    for frame in frames:
        await site.record(seen(media_id, frame))
    if frames:
        async with catalog.reading() as session:
            assert await upload_rows.bulk_backlog(session, 100) == 1
    assert (await site.row(Upload, media_id)).progress_at > now() - timedelta(hours=1)
