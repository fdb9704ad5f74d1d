"""What is known of media: pages of them, one with its whole history, and counts that add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from varanger.api.adapters import media_rows
from varanger.api.adapters.media_rows import MediaFilter
from varanger.common.catalog import Catalog
from varanger.common.catalog.tables import (
    DeadLetterRow,
    Media,
    MediaHistory,
    PredictionRow,
    Quarantine,
    Review,
    Upload,
)
from varanger.common.words import MediaState


@dataclass(frozen=True)
class KnownFile:
    """An accepted file, the media it became (if it did) and the prediction it shows (if any), as JSON."""

    upload: Upload
    media: Media | None
    answer: dict[str, Any] | None


@dataclass(frozen=True)
class Page:
    """Files, and the id after which the next page begins; None: this is the last."""

    files: Sequence[KnownFile]
    next_after: UUID | None


@dataclass(frozen=True)
class WholeFile:
    """Everything that is known of one accepted file."""

    file: KnownFile
    quarantine: Quarantine | None
    predictions: Sequence[PredictionRow]
    reviews: Sequence[Review]
    dead_letters: Sequence[DeadLetterRow]
    history: Sequence[MediaHistory]
    entries: Sequence[UUID]
    """Of an archive: the files that came out of it."""


@dataclass(frozen=True)
class Stats:
    """Where the project's accepted files are (promise 2), and what was found in those that are media.

    An archive that was unpacked is none of them any more: its entries are.
    """

    states: dict[MediaState, int]
    by_label: dict[str, int]
    by_route: dict[str, int]

    @property
    def received(self) -> int:
        """Every accepted file: the sum of the states."""
        return sum(self.states.values())


async def list_media(
    catalog: Catalog, wanted: MediaFilter, *, limit: int, after: UUID | None = None, newest_first: bool = True
) -> Page:
    """One page of files with what each shows."""
    async with catalog.reading() as session:
        found = await media_rows.page(session, wanted, limit=limit + 1, after=after, newest_first=newest_first)
        shown = found[:limit]
        answers = await media_rows.shown_answers(session, [media for _, media in shown if media is not None])
    files = [KnownFile(upload, media, answers.get(upload.media_id)) for upload, media in shown]
    return Page(files, shown[-1][0].media_id if len(found) > limit else None)


async def find_media(catalog: Catalog, media_id: UUID) -> KnownFile | None:
    """One file with what it shows, or None."""
    async with catalog.reading() as session:
        found = await media_rows.find(session, media_id)
        if found is None:
            return None
        upload, media = found
        answers = await media_rows.shown_answers(session, [] if media is None else [media])
    return KnownFile(upload, media, answers.get(media_id))


async def whole_file(catalog: Catalog, file: KnownFile) -> WholeFile:
    """Everything else that is known of a file."""
    media_id = file.upload.media_id
    async with catalog.reading() as session:
        return WholeFile(
            file,
            await media_rows.quarantine(session, media_id),
            await media_rows.predictions(session, media_id),
            await media_rows.reviews(session, [media_id]),
            await media_rows.dead_letters(session, media_id),
            await media_rows.history(session, media_id),
            await media_rows.entries(session, media_id),
        )


async def project_stats(catalog: Catalog, project_id: str) -> Stats:
    """Counts of one moment."""
    async with catalog.reading() as session:
        states = await media_rows.count_states(session, project_id)
        by_label = await media_rows.count_by_label(session, project_id)
        by_route = await media_rows.count_by_route(session, project_id)
    return Stats(
        {state: states.get(state, 0) for state in MediaState if state is not MediaState.UNPACKED}, by_label, by_route
    )
