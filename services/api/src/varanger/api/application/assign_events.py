"""Which event each media is of, kept in step with every media that comes, in the transaction that records it.

Only the neighbourhood is looked at: the shots around a new one, up to a silence on both sides that no event reaches
across. Whoever changes events holds the deployment's lock (`event_rows.lock_deployments`), so two recorders take turns.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from varanger.api.adapters import event_rows
from varanger.api.adapters.event_rows import DeploymentKey, KnownShot, Span, known_shot
from varanger.api.domain.events import Burst, bursts, reach
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.tables import Deployment, Event, Media

_A_SECOND = timedelta(seconds=1)
"""Rows are found by whole seconds; shots have parts of one."""


async def assign_events(
    session: WriteSession,
    deployments: Mapping[DeploymentKey, Deployment],
    new: Sequence[Media],
    also_locked: Collection[UUID] = (),
) -> None:
    """Give media that are about to be recorded their events, and their neighbours new ones where bursts merge.

    Args:
        session: the deployments are locked in it, and nothing was flushed since.
        deployments: as they are now.
        new: times derived; not in the database yet.
        also_locked: other media whose rows this transaction changes.
    """
    arrived: dict[DeploymentKey, list[Media]] = defaultdict(list)
    for media in new:
        arrived[media.project_id, media.deployment_id].append(media)
    changes: dict[UUID, dict[str, Any]] = {}
    left: dict[DeploymentKey, set[str]] = {}
    with session.no_autoflush:
        for key, group in sorted(arrived.items()):
            fresh = [known_shot(media) for media in group]
            around = await _neighbours(session, deployments[key], fresh)
            moved = await settle(session, deployments[key], [*fresh, *around])
            for media in group:
                media.event_id = moved.pop(media.media_id)
            changes |= {media_id: {"event_id": event_id} for media_id, event_id in moved.items()}
            left[key] = {shot.event_id for shot in around if shot.event_id and shot.shot.media_id in moved}
        await event_rows.change_media(session, changes, also_locked)
        for key, event_ids in left.items():
            await event_rows.remove_empty(session, key, event_ids)


async def move_in_time(session: WriteSession, deployment: Deployment, media: Media, was: KnownShot) -> None:
    """Events after a media's own time was changed: where it was, and where it is now.

    Args:
        session: the deployment is locked in it.
        deployment: the media's.
        media: with its new time.
        was: the media as it was before.
    """
    key = (media.project_id, media.deployment_id)
    here = known_shot(media)
    with session.no_autoflush:
        shots = await _neighbours(session, deployment, [was, here])
        found = {known.shot.media_id: known for known in [*shots, here]}
        moved = await settle(session, deployment, list(found.values()))
        media.event_id = moved.pop(media.media_id, media.event_id)
        changes = {media_id: {"event_id": event_id} for media_id, event_id in moved.items()}
        await event_rows.change_media(session, changes, [media.media_id])
    await session.flush()
    await event_rows.remove_empty(session, key, {known.event_id for known in found.values() if known.event_id})


async def settle(session: WriteSession, deployment: Deployment, shots: Sequence[KnownShot]) -> dict[UUID, str]:
    """Write the events of these shots, which stand between silences; the media whose event is another now.

    Rows of events that lost their last member are the caller's to remove, once the media are changed.
    """
    found = bursts(deployment.deployment_id, [known.shot for known in shots], deployment.event_gap_s)
    utc = {known.shot.media_id: known.captured_at_utc for known in shots}
    there = await event_rows.events(session, deployment.project_id, [burst.event_id for burst in found])
    for burst in found:
        row = there.get(burst.event_id)
        if row is None:
            row = Event(
                project_id=deployment.project_id,
                event_id=burst.event_id,
                deployment_id=deployment.deployment_id,
            )
            there[burst.event_id] = row
            session.add(row)
        _tell(row, burst, utc)
    was = {known.shot.media_id: known.event_id for known in shots}
    return {
        shot.media_id: burst.event_id
        for burst in found
        for shot in burst.members
        if was[shot.media_id] != burst.event_id
    }


def _tell(row: Event, burst: Burst, utc: Mapping[UUID, datetime | None]) -> None:
    times = [time for shot in burst.members if (time := utc[shot.media_id]) is not None]
    row.event_start, row.event_end = min(times, default=None), max(times, default=None)
    row.capture_method, row.media_count = burst.capture_method, len(burst.members)


async def _neighbours(session: WriteSession, deployment: Deployment, fresh: Sequence[KnownShot]) -> list[KnownShot]:
    """The recorded shots whose events these may change."""
    found: list[KnownShot] = []
    for numbered in (True, False):
        seeds = [
            known.captured_at
            for known in fresh
            if known.captured_at is not None and not known.shot.alone and known.shot.numbered == numbered
        ]
        if seeds:
            found.extend(await _between_silences(session, deployment, sorted(seeds), numbered=numbered))
    return found


async def _between_silences(
    session: WriteSession, deployment: Deployment, seeds: Sequence[datetime], *, numbered: bool
) -> list[KnownShot]:
    """The shots of this kind around these seconds, out to a silence that none of their events reaches across."""
    key = (deployment.project_id, deployment.deployment_id)
    silence = reach(deployment.event_gap_s, numbered=numbered) + _A_SECOND
    spans = _joined([(_moved(seed, -silence), _moved(seed, silence)) for seed in seeds])
    found: dict[UUID, KnownShot] = {}
    while spans:
        shots = [
            known
            for known in await event_rows.shots_within(session, key, spans)
            if not known.shot.alone and known.shot.numbered == numbered
        ]
        shots.sort(key=_second)
        wider: list[Span] = []
        for span in spans:
            inside = shots[bisect_left(shots, span[0], key=_second) : bisect_right(shots, span[1], key=_second)]
            of_span = seeds[bisect_left(seeds, span[0]) : bisect_right(seeds, span[1])]
            needed, reached = _reached(span, of_span, inside, silence)
            if needed == span:
                found.update((known.shot.media_id, known) for known in reached)
            else:
                wider.append(needed)
        spans = _joined(wider)
    return list(found.values())


def _reached(
    span: Span, seeds: Sequence[datetime], shots: Sequence[KnownShot], silence: timedelta
) -> tuple[Span, list[KnownShot]]:
    """The shots that hang together with the seeds; and the span, twice as far where its end cut them off.

    Args:
        span: where the shots were looked for.
        seeds: in order, at least one.
        shots: in order.
        silence: what tears a chain.
    """
    begin, end = span
    first, last = seeds[0], seeds[-1]
    for known in reversed(shots):
        if first - _second(known) < silence:
            first = min(first, _second(known))
    for known in shots:
        if _second(known) - last < silence:
            last = max(last, _second(known))
    if first - begin < silence:
        begin = _moved(begin, begin - end)
    if end - last < silence:
        end = _moved(end, end - span[0])
    return (begin, end), [known for known in shots if first <= _second(known) <= last]


def _second(known: KnownShot) -> datetime:
    return known.captured_at or datetime.min


def _moved(time: datetime, by: timedelta) -> datetime:
    try:
        return time + by
    except OverflowError:
        return datetime.min if by < timedelta() else datetime.max


def _joined(spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined
