"""A presigned upload: its bytes go from the client straight into the object store, and count once they were read there.

What the client wrote is copied to a key that nobody else can write to, and the *copy* is read and hashed. So an object
that is exchanged at any moment cannot count (docs/decisions/0013-presigned-uploads-are-copied-then-read.md).
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress

from varanger.api.adapters import partial_rows
from varanger.api.application.accept_upload import Sender, Verdict, incoming_key
from varanger.api.application.partial_uploads import (
    NO_LONGER_THERE,
    Ports,
    UploadGone,
    WrongBytes,
    count_whole,
    direct_key,
    told_again,
    verdict_of,
)
from varanger.common.catalog.tables import PartialUpload
from varanger.common.errors import DependencyDown, ObjectMissing
from varanger.common.ids import new_id
from varanger.common.ports.direct_uploads import DirectUploads, StoredPart
from varanger.common.ports.objects import Joined

KIND = "presigned"


class PartsWrong(Exception):
    """Parts are missing, or not what was announced; the text names them. They can be sent again."""


def part_sizes(total: int, part_bytes: int) -> list[int]:
    """The bytes of each part."""
    whole, rest = divmod(total, part_bytes)
    return [part_bytes] * whole + [rest] * bool(rest)


async def complete(
    ports: Ports,
    direct: DirectUploads,
    upload: PartialUpload,
    sender: Sender,
    named: Mapping[int, str],
) -> Verdict:
    """Make a file of the parts, which the client names `{number: etag}`. Repeated, it tells the same verdict.

    Raises:
        PartsWrong: send what the text names, then call it again.
        WrongBytes: the file is not the announced one; the upload is gone.
        UploadGone: it was ended meanwhile.
        PartsRefused: a part was sent again in this very moment.
        DependencyDown: call it again.
    """
    verdict = verdict_of(upload)
    if verdict is not None:
        return verdict
    key = direct_key(upload)
    await _put_together(direct, upload, key, named)
    media_id = new_id()
    placed = incoming_key(upload.project_id, media_id)
    try:
        await ports.objects.copy(key, placed)
    except ObjectMissing:
        # Aborted before, or just now finished by another request.
        return await told_again(ports, upload)
    try:
        found = await _read(ports, placed)
    except BaseException:
        # The next try copies again: what this one copied would lie there for a day.
        with suppress(DependencyDown):
            await ports.objects.delete(placed)
        raise
    try:
        verdict = await count_whole(ports, upload, sender, media_id, found)
    except WrongBytes:
        await ports.objects.delete(key)
        raise
    await ports.objects.delete(key)
    return verdict


async def abort(ports: Ports, direct: DirectUploads, upload: PartialUpload) -> None:
    """Forget the upload and what came of it. A file that it has become stays."""
    async with ports.catalog.writing() as session:
        await partial_rows.forget(session, upload.upload_id)
    await remove_direct(ports, direct, upload)


async def remove_direct(ports: Ports, direct: DirectUploads, upload: PartialUpload) -> None:
    """Remove what the store holds of an upload that has ended."""
    if upload.store_upload_id is not None:
        await direct.abort(direct_key(upload), upload.store_upload_id)
    await ports.objects.delete(direct_key(upload))


async def _put_together(direct: DirectUploads, upload: PartialUpload, key: str, named: Mapping[int, str]) -> None:
    """One object of the parts; nothing happens where that was done before."""
    if upload.store_upload_id is None:
        raise UploadGone(NO_LONGER_THERE)
    try:
        found = await direct.parts(key, upload.store_upload_id)
    except ObjectMissing:
        return
    wrong = _what_is_wrong([piece["bytes"] for piece in upload.parts], found, named)
    if wrong:
        raise PartsWrong("; ".join(wrong))
    try:
        await direct.complete(key, upload.store_upload_id, found)
    except ObjectMissing:
        return


def _what_is_wrong(sizes: Sequence[int], found: Sequence[StoredPart], named: Mapping[int, str]) -> list[str]:
    stored = {part.number: part for part in found}
    wanted = range(1, len(sizes) + 1)
    extra = sorted((named.keys() | stored.keys()) - set(wanted))
    said = {
        "not sent yet": [number for number in wanted if number not in stored],
        "not named in `parts`": [number for number in wanted if number not in named],
        "of another size than announced": [
            number for number in wanted if number in stored and stored[number].bytes != sizes[number - 1]
        ],
        "named with another ETag than the store has": [
            number for number in wanted if number in stored and number in named and named[number] != stored[number].etag
        ],
        f"beyond the {len(sizes)} of this upload": extra,
    }
    return [f"parts {_some(numbers)}: {what}" for what, numbers in said.items() if numbers]


def _some(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:20]))
    return f"{shown} and {len(numbers) - 20} more" if len(numbers) > 20 else shown


async def _read(ports: Ports, key: str) -> Joined:
    total, sha256 = 0, hashlib.sha256()
    async for chunk in ports.objects.stream(key, chunk_bytes=1 << 20):
        sha256.update(chunk)
        total += len(chunk)
    return Joined(total, sha256.hexdigest())
