"""`DirectUploads`: objects that a client sends in parts straight to the store, by URLs signed for it alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

SMALLEST_PART_BYTES = 5 << 20
LARGEST_PART_BYTES = 5 << 30
MOST_PARTS = 10_000
"""Of every part but the last; of any; in one object: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""


@dataclass(frozen=True)
class StoredPart:
    """A part that the store holds."""

    number: int
    """From 1."""
    bytes: int
    etag: str
    """Without quotes."""


@dataclass(frozen=True)
class BegunUpload:
    """An upload that is neither completed nor aborted."""

    key: str
    store_upload_id: str
    begun_at: datetime
    """Aware UTC."""


class DirectUploads(Protocol):
    """S3's multipart upload. The object appears under its key with `complete`, never before.

    Every method raises DependencyDown where the store does not answer, and ValueError for a malformed key.
    """

    async def begin(self, key: str) -> str:
        """Begin an upload; the store's own id of it."""

    def part_url(self, key: str, store_upload_id: str, number: int, expires_s: int) -> str:
        """A URL to PUT one part to, for `expires_s` seconds (at most seven days). Asks nobody.

        Whoever holds it may replace that part until the upload is completed or aborted, and nothing else.
        """

    async def parts(self, key: str, store_upload_id: str) -> list[StoredPart]:
        """What has come, in order. Raises ObjectMissing where the upload is over: completed, or aborted."""

    async def complete(self, key: str, store_upload_id: str, parts: Sequence[StoredPart]) -> None:
        """Make one object of these parts.

        Raises:
            ObjectMissing: the upload is over; whether it was completed before, `head` of the key tells. Some stores
                say DependencyDown then, so ask for its `parts` first.
            PartsRefused: a part is not as named any more, or one before the last is too small.
        """

    async def begun(self, prefix: str) -> list[BegunUpload]:
        """Every upload under way whose key starts with `prefix`."""

    async def abort(self, key: str, store_upload_id: str) -> None:
        """Forget it and its parts; nothing happens where it is over."""
