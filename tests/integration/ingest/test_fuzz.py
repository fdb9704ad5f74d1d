"""Ten thousand broken files through the handler itself: each ends as media, unpacked or in quarantine with a reason.

The corpus is real files where the sample data is, and drawn ones always. Input n is the same in every run on the same
corpus: a failure names n and what was done to which file, and `mutated(corpus, n)` makes it again.
"""

import asyncio
import hashlib
import io
import logging
import random
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import ExifTags, Image
from tests.integration.ingest.drawn_video import drawn_video

from varanger.common.adapters.objects_memory import MemoryObjectStore
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaQuarantined, MediaStored, MediaUnpacked, MediaUploaded
from varanger.common.settings import Settings
from varanger.common.telemetry.health import Progress
from varanger.common.words import DeploymentSnapshot
from varanger.ingest.adapters import open_metadata_reader
from varanger.ingest.application.examine import Examiner
from varanger.ingest.application.ingest_media import IngestMedia
from varanger.ingest.domain.verdict import QuarantineReason

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of broken EXIF; a process only logs it

HANG_S = 60.0
"""No file may take longer; the slowest honest ones take about a second."""
GROWTH_BYTES = 300 << 20
SHARES = {"jpeg": 64, "zip": 18, "card": 8, "video": 4, "image": 6}
"""What is broken; a card is a good zip of broken files."""
MARKS = (
    *(b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04", b"moov", b"stsz", b"stco", b"stts", b"stsd", b"tkhd", b"mdhd"),
    *(b"avih", b"strh", b"strf", b"idx1", b"movi", b"ftyp", b"Exif", b"\xff\xe1", b"\xff\xc0", b"\xff\xc2"),
    *(b"\xff\xda", b"\xff\xc4", b"\xff\xdb", b"IHDR", b"IDAT", b"RECONYX"),
)
"""Where lengths, counts and offsets are."""
EXTREMES = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

Corpus = dict[str, list[tuple[str, bytes]]]


@dataclass(frozen=True, repr=False)
class Input:
    name: str
    data: bytes
    made: str

    def __str__(self) -> str:
        return self.made

    __repr__ = __str__


def drawn(kind: str, **options: object) -> bytes:
    coarse = np.random.default_rng(1).integers(70, 190, (9, 12, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "RECONYX"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    out = io.BytesIO()
    Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC).save(out, kind, exif=exif, **options)
    return out.getvalue()


def packed(files: list[tuple[str, bytes]], method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


@pytest.fixture(scope="module")
def corpus(sample_data_or_none: Path | None) -> Corpus:
    jpegs = [("IMG_0001.JPG", drawn("JPEG")), ("IMG_0002.JPG", drawn("JPEG", progressive=True))]
    videos = [
        ("0001.mp4", drawn_video(frames=12, codec="libx264")),
        ("0002.avi", drawn_video(frames=12, kind="avi", codec="mjpeg")),
        ("0003.mkv", drawn_video(frames=12, kind="matroska", codec="mpeg4")),
        ("0004.mpg", drawn_video(frames=12, rate=25, kind="mpeg", codec="mpeg2video")),
        ("0005.wmv", drawn_video(frames=12, kind="asf", codec="wmv2")),
    ]
    if sample_data_or_none is not None:
        small = sorted(path for path in sample_data_or_none.rglob("*") if path.stat().st_size < 150_000)
        jpegs += [(path.name, path.read_bytes()) for path in small if path.suffix.lower() in (".jpg", ".jpeg")][::5]
        videos += [(path.name, path.read_bytes()) for path in small if path.suffix.lower() in (".mp4", ".avi")]
    images = [(f"0001.{kind.lower()}", drawn(kind)) for kind in ("PNG", "WEBP", "TIFF")]
    few = [("DCIM/", b""), *[(f"DCIM/{name}", data) for name, data in jpegs[:2]], ("Thumbs.db", bytes(range(256)))]
    zips = [(f"card{method}.zip", packed(few, method)) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    return {"jpeg": jpegs, "zip": zips, "video": videos, "image": images}


def flip_bits(data: bytearray, dice: random.Random, _: bytes) -> None:
    for _ in range(dice.choice((1, 2, 8, 64))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def cut(data: bytearray, dice: random.Random, _: bytes) -> None:
    del data[dice.randrange(1, len(data) + 1) :]


def cut_out(data: bytearray, dice: random.Random, _: bytes) -> None:
    start = dice.randrange(len(data))
    del data[start : start + dice.choice((1, 2, 100, 4096))]


def splice(data: bytearray, dice: random.Random, other: bytes) -> None:
    start, taken = dice.randrange(len(data)), dice.randrange(len(other))
    data[start : start + dice.choice((0, 64, 4096))] = other[taken : taken + dice.choice((16, 1024, 16384))]


def overwrite_head(data: bytearray, dice: random.Random, _: bytes) -> None:
    start = dice.randrange(min(512, len(data)))
    data[start : start + 4] = dice.randbytes(4)


def blank(data: bytearray, dice: random.Random, _: bytes) -> None:
    start, length = dice.randrange(len(data)), dice.choice((4, 64, 2048))
    data[start : start + length] = bytes([dice.choice((0, 0xFF))]) * min(length, len(data) - start)


def repeat(data: bytearray, dice: random.Random, _: bytes) -> None:
    start = dice.randrange(len(data))
    piece = bytes(data[start : start + dice.choice((8, 200, 4096))])
    data[start:start] = piece * dice.choice((2, 20, 200))


def lie(data: bytearray, dice: random.Random, _: bytes) -> None:
    """A length, count or offset that is not so, near where such things are."""
    places = [place for mark in MARKS if (place := data.find(mark)) >= 0] or [0]
    for _ in range(dice.choice((1, 1, 2, 5))):
        width, order = dice.choice((1, 2, 4, 8)), dice.choice(("big", "little"))
        value = dice.choice((*EXTREMES, len(data), dice.getrandbits(32))) & ((1 << 8 * width) - 1)
        place = max(0, min(len(data) - width, dice.choice(places) + dice.randrange(-8, 64)))
        data[place : place + width] = value.to_bytes(width, order)


MUTATIONS = (flip_bits, cut, cut_out, splice, overwrite_head, blank, repeat, lie, lie, lie)


def mutated(corpus: Corpus, number: int) -> Input:
    """Input `number`: one to three things done to one file."""
    dice = random.Random(f"varanger {number}")
    (kind,) = dice.choices(list(SHARES), list(SHARES.values()))
    if kind == "card":
        inside = [broken(corpus, dice.choice(("jpeg", "image", "zip")), dice) for _ in range(3)]
        files = [(f"DCIM/{place}/{one.name}", one.data) for place, one in enumerate(inside)]
        return Input("card.zip", packed(files, zipfile.ZIP_DEFLATED), f"input {number}: a zip of {inside}")
    one = broken(corpus, kind, dice)
    return Input(one.name, one.data, f"input {number}: {one}")


def broken(corpus: Corpus, kind: str, dice: random.Random) -> Input:
    name, original = dice.choice(corpus[kind])
    _, other = dice.choice(corpus[dice.choice(list(corpus))])
    data, done = bytearray(original or b"\0"), []
    for mutation in dice.choices(MUTATIONS, k=dice.choice((1, 1, 2, 3))):
        mutation(data, dice, other or b"\0")
        done.append(mutation.__name__)
        data = data[: 4 << 20] or bytearray(b"\0")
    if dice.random() < 0.05:
        name = dice.choice(("a.jpg", "a.mp4", "a.zip", "a", "..", "a.JPG\u202e"))
    return Input(name, bytes(data), f"{name} ({kind}) after {', '.join(done)}")


class Run:
    """Feeds inputs and checks what must hold for each."""

    def __init__(self, ingest: IngestMedia, objects: MemoryObjectStore) -> None:
        self._ingest = ingest
        self._objects = objects
        self.verdicts: Counter[str] = Counter()
        self.slowest: list[tuple[float, str]] = []

    async def feed(self, one: Input) -> None:
        begun = time.monotonic()
        fact = await self._take(one.name, one.data, one.made, {})
        if isinstance(fact, MediaUnpacked):
            assert fact.entries
            assert len({entry.media_id for entry in fact.entries}) == len(fact.entries)
            for entry in fact.entries:
                data = await self._objects.get(entry.incoming_key)
                said = {"media_id": entry.media_id, "archive_id": fact.media_id, "original_path": entry.original_path}
                inner = await self._take(entry.original_name, data, f"{one.made}: {entry.original_path}", said)
                assert not isinstance(inner, MediaUnpacked), one.made
        self.slowest = sorted([*self.slowest, (time.monotonic() - begun, one.made)])[-5:]
        for key in [found.key async for found in self._objects.list("")]:
            await self._objects.delete(key)

    async def _take(self, name: str, data: bytes, made: str, said: dict[str, object]) -> object:
        media_id = said.get("media_id") or new_id()
        key = f"incoming/p/{media_id}"
        await self._objects.put(key, data)
        upload = MediaUploaded(
            **{
                "media_id": media_id,
                "deployment": DeploymentSnapshot(deployment_id="D1", location_id="L1"),
                "incoming_key": key,
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
                "original_name": name,
                "uploaded_at": datetime(2024, 6, 1, tzinfo=UTC),
                **said,
            }
        )
        try:
            (answer,) = await asyncio.wait_for(
                self._ingest([Envelope.wrap(upload, project_id="p", producer="api/test")]), HANG_S
            )
        except BaseException as error:
            error.add_note(made)
            raise
        assert Envelope.from_body(answer.to_body()).payload == answer.payload, made
        fact = answer.payload
        self.verdicts[await self._check(fact, data, made)] += 1
        return fact

    async def _check(self, fact: object, data: bytes, made: str) -> str:
        match fact:
            case MediaStored():
                assert await self._objects.get(fact.key) == data, made
                with Image.open(io.BytesIO(await self._objects.get(fact.view_key))) as view:
                    view.load()
                    assert max(view.size) <= 1280, made
                assert (fact.duration_s is None) == (not fact.frame_numbers), made
                return "video" if fact.frame_numbers else "image"
            case MediaQuarantined():
                assert await self._objects.get(fact.key) == data, made
                assert fact.detail, made
                return str(QuarantineReason(fact.reason))
            case MediaUnpacked():
                return "unpacked"
        raise AssertionError(f"{made}: {fact}")


@pytest.fixture
def fuzz(tmp_path: Path) -> Iterator[SimpleNamespace]:
    objects = MemoryObjectStore()
    # Small limits, so that what is over them is met with small files.
    settings = Settings(max_pixels=20_000_000, archive_max_bytes=32 << 20, video_timeout_s=20.0)
    with ThreadPoolExecutor(2) as pool, closing(Examiner(open_metadata_reader(threads=2), settings)) as examiner:
        ingest = IngestMedia(objects, examiner, pool=pool, workbench=tmp_path, progress=Progress(60.0))
        yield SimpleNamespace(run=Run(ingest, objects), workbench=tmp_path)
    assert list(tmp_path.iterdir()) == []


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def feed_all(fuzz: SimpleNamespace, corpus: Corpus, numbers: range) -> None:
    warm = 0
    for number in numbers:
        await fuzz.run.feed(mutated(corpus, number))
        if number == numbers[len(numbers) // 5]:
            warm = resident_bytes()
        if (number + 1) % 1000 == 0:
            tell(fuzz.run, number + 1, resident_bytes() - warm)
    grown = resident_bytes() - warm
    tell(fuzz.run, len(numbers), grown)
    assert grown < GROWTH_BYTES
    assert {"image", "video", "unpacked", "corrupt_image", "corrupt_archive"} <= set(fuzz.run.verdicts)


def tell(run: Run, fed: int, grown: int) -> None:
    log = logging.getLogger("fuzz")
    log.info("%d inputs, %d MiB more after the first fifth", fed, grown >> 20)
    for verdict, count in run.verdicts.most_common():
        log.info("%6d %s", count, verdict)
    for seconds, made in reversed(run.slowest):
        log.info("%.2f s %s", seconds, made)


async def test_a_few_hundred_broken_files(fuzz, corpus):
    await feed_all(fuzz, corpus, range(300))


@pytest.mark.slow
@pytest.mark.timeout(7200)
async def test_ten_thousand_broken_files(fuzz, corpus):
    """`pytest tests/integration/ingest/test_fuzz.py -m slow -o log_cli=true -o log_cli_level=INFO` shows the counts."""
    await feed_all(fuzz, corpus, range(10_000))
