"""The recorder, 64 facts per transaction against one fact per transaction, on SQLite and on PostgreSQL.

    python bench/recorder_bench.py [--media 192] [--repeats 5] [--on sqlite postgresql] [--quick]

For every media two facts, `media.stored.v1` (which makes the recorder also ask for a classification through the
outbox) and `media.classified.v1`. Tables are emptied and the uploads written anew before each turn, unmeasured. Both
databases commit as in service: SQLite with `synchronous=FULL`, PostgreSQL with its own `synchronous_commit`.
"""

import asyncio
import hashlib
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from harness import Comparison, compare, options, report
from own_services import own_database
from sqlalchemy import func, select, text
from sqlmodel import SQLModel, col

from varanger.api.application.record_facts import fact_recorder
from varanger.api.recorder import RECORDER_BATCH
from varanger.common.catalog import Catalog, open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Deployment, PredictionRow, Project, Upload
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaClassified, MediaMetadata, MediaStored
from varanger.common.words import Detection, Lane, MediaState, Observation, Prediction, Purpose

PROJECT = "bench"
RELEASE = "a" * 64
PREDICTION = Prediction(
    label="red_deer",
    confidence=0.91,
    route="global>expert:large",
    observations=(Observation(taxon="red_deer", count=2),),
    detections=tuple(
        Detection(stage=stage, label="red_deer", confidence=0.9, bbox=(left, 0.3, 0.2, 0.3))
        for stage in ("global", "expert:large")
        for left in (0.1, 0.6)
    ),
    scores={stage: {f"species_{number:02d}": 0.01 for number in range(14)} for stage in ("global", "expert:large")},
    models={"global": "c" * 64, "expert:large": "d" * 64},
    code_version="bench/1",
)


class Recording:
    """One catalog, and the two ways to write the same facts into it."""

    def __init__(self, catalog: Catalog, media: int) -> None:
        self._catalog = catalog
        self._record = fact_recorder(catalog)
        self._media = media

    async def batched(self) -> float:
        """Facts/s, as the recorder's consumer hands them on when work waits."""
        return await self._timed(RECORDER_BATCH)

    async def one_by_one(self) -> float:
        """Facts/s, each in its own transaction."""
        return await self._timed(1)

    async def _timed(self, size: int) -> float:
        await self._empty()
        facts = await self._uploaded()
        begin = time.perf_counter()
        for start in range(0, len(facts), size):
            await self._record(facts[start : start + size])
        rate = len(facts) / (time.perf_counter() - begin)
        async with self._catalog.reading() as session:
            answered = select(func.count()).select_from(PredictionRow).where(col(PredictionRow.state) == "classified")
            if await session.scalar(answered) != self._media:
                raise RuntimeError("not every fact was recorded")
        return rate

    async def _empty(self) -> None:
        names = [table.name for table in reversed(SQLModel.metadata.sorted_tables)]
        async with self._catalog.writing() as session:
            if self._catalog.is_sqlite:
                for name in names:
                    await session.execute(text(f"DELETE FROM {name}"))  # noqa: S608 - our own table names
            else:
                await session.execute(text(f"TRUNCATE {', '.join(names)}"))

    async def _uploaded(self) -> list[Envelope]:
        """Write the uploads; the facts that follow from them, all stored before all classified."""
        ids = [new_id() for _ in range(self._media)]
        async with self._catalog.writing() as session:
            session.add(Project(project_id=PROJECT, release_id=RELEASE))
            session.add(Deployment(project_id=PROJECT, deployment_id="D1", location_id="L1"))
            session.add_all(upload(media_id) for media_id in ids)
        payloads = [*(stored(media_id) for media_id in ids), *(classified(media_id) for media_id in ids)]
        return [Envelope.wrap(payload, project_id=PROJECT, producer="bench/1") for payload in payloads]


def sha256_of(media_id: UUID) -> str:
    return hashlib.sha256(media_id.bytes).hexdigest()


def upload(media_id: UUID) -> Upload:
    return Upload(
        media_id=media_id,
        project_id=PROJECT,
        deployment_id="D1",
        sha256=sha256_of(media_id),
        bytes=1_500_000,
        original_name="IMG_0001.JPG",
        incoming_key=f"incoming/{PROJECT}/{media_id}",
        lane=Lane.LIVE,
        state=MediaState.PENDING,
    )


def stored(media_id: UUID) -> MediaStored:
    metadata = MediaMetadata(
        captured_at=datetime(2026, 1, 1, 12),
        make="RECONYX",
        model="HYPERFIRE 2",
        serial_number="H2X00001",
        exif_data={f"Tag{number}": f"value {number}" for number in range(20)},
        reader="bench",
    )
    return MediaStored(
        media_id=media_id,
        deployment_id="D1",
        key=f"media/{PROJECT}/D1/L1_20260101_120000_{media_id.hex}.jpg",
        view_key=f"views/{PROJECT}/{media_id}.jpg",
        name=f"L1_20260101_120000_{media_id.hex}.jpg",
        sha256=sha256_of(media_id),
        bytes=1_500_000,
        media_type="image/jpeg",
        width=2048,
        height=1536,
        metadata=metadata,
    )


def classified(media_id: UUID) -> MediaClassified:
    return MediaClassified(media_id=media_id, release_id=RELEASE, purpose=Purpose.INTAKE, prediction=PREDICTION)


async def on(database: str, url: str, media: int, repeats: int) -> Comparison:
    """Both ways on one database."""
    await asyncio.to_thread(migrate, url)
    catalog = open_catalog(url)
    try:
        recording = Recording(catalog, media)
        return await compare(
            f"recorder on {database}, {RECORDER_BATCH} facts per transaction",
            recording.batched,
            "one by one",
            recording.one_by_one,
            unit="facts/s",
            repeats=repeats,
        )
    finally:
        await catalog.close()


async def main(databases: list[str], media: int, repeats: int) -> None:
    """Each database in turn."""
    rows = []
    for database in databases:
        with ExitStack() as stack:
            if database == "sqlite":
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="varanger-bench-")))
                url = f"sqlite:///{folder / 'catalog.sqlite'}"
            else:
                url = stack.enter_context(own_database())
            rows.append(await on(database, url, media, repeats))
    report(*rows)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--media", type=int, default=192)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--on", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    given = parser.parse_args()
    asyncio.run(main(given.on, *((8, 1) if given.quick else (given.media, given.repeats))))
