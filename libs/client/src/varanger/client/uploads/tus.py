"""A large file in pieces, gone on with where the gateway stands after a cut."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from varanger.client.call import Flow, Wait, ask, work
from varanger.client.calls.uploads import Through, tus_create, tus_patch, tus_state, unchanged
from varanger.client.errors import FileChanged, GatewayAway, RequestRefused, UploadCorrupted
from varanger.client.models.uploads import FileVerdict, TusUpload
from varanger.client.patience import Backoff
from varanger.client.uploads.files import sha256_of

PIECE_BYTES = 4 << 20
"""One request. Short, so that a link that is often cut brings some whole ones over."""
AT_ANOTHER_OFFSET = 409
EXPIRED = frozenset({404, 410})
CUTS_IN_A_ROW = 8


def upload_large(
    project: str,
    deployment: str,
    file: Path,
    *,
    name: str | None = None,
    sha256: str | None = None,
    lane: str = "live",
    upload_id: str | None = None,
    on_begun: Callable[[str], None] = lambda _upload_id: None,
    on_offset: Callable[[int], None] = lambda _offset: None,
    through: Through = unchanged,
    cuts: int = CUTS_IN_A_ROW,
) -> Flow[FileVerdict]:
    """Send one file in pieces (tus); memory does not follow its size.

    Args:
        project: where it belongs.
        deployment: which camera's it is.
        file: where it lies.
        name: its path as the gateway is to keep it; its own name where not given.
        sha256: its digest, measured here where not given.
        lane: `live` or `bulk`.
        upload_id: of an upload of this very file that was begun before; gone on with if it has not expired.
        on_begun: told the upload's id, to go on with it after a crash.
        on_offset: told how many bytes the gateway has.
        through: what its bytes pass on their way.
        cuts: how many pieces in a row may fail before it gives up.

    Raises:
        GatewayAway: `cuts` pieces in a row did not arrive.
        UploadCorrupted: the gateway's sha256 is not the file's.
        FileChanged: its size is no longer what it was.
    """
    digest = sha256 or (yield from work(lambda: sha256_of(file)))
    size = (yield from work(file.stat)).st_size
    state = None if upload_id is None else (yield from _gone_on_with(upload_id))
    if state is None:
        begun = tus_create(project, deployment, name=name or file.name, size=size, sha256=digest, lane=lane)
        state = yield from ask(begun)
        on_begun(state.upload_id)
    state = yield from _Pieces(file, size, through, on_offset, cuts).sent_from(state)
    verdict = state.verdict
    if verdict is None or verdict.sha256 != digest:
        raise UploadCorrupted(f"{file.name}: the gateway has {verdict}, the file has sha256 {digest}")
    return verdict


def _gone_on_with(upload_id: str) -> Flow[TusUpload | None]:
    try:
        return (yield from ask(tus_state(upload_id)))
    except RequestRefused as refused:
        if refused.status in EXPIRED:
            return None
        raise


@dataclass(frozen=True)
class _Pieces:
    """The way of one file's bytes."""

    file: Path
    size: int
    through: Through
    on_offset: Callable[[int], None]
    cuts: int

    def sent_from(self, state: TusUpload) -> Flow[TusUpload]:
        """All that the gateway has not, piece by piece; where it stands then."""
        backoff, left = Backoff(), self.cuts
        self.on_offset(state.offset)
        while state.verdict is None:
            before = state.offset
            try:
                state = yield from self._piece(state)
            except (GatewayAway, RequestRefused) as fault:
                if isinstance(fault, RequestRefused) and fault.status in EXPIRED:
                    raise GatewayAway(f"the upload of {self.file.name} has expired; begin it again") from fault
                if isinstance(fault, RequestRefused) and fault.status != AT_ANOTHER_OFFSET:
                    raise
                left -= 1
                if left <= 0 and isinstance(fault, RequestRefused):
                    # What a cut request had brought counts once the gateway notices the cut.
                    raise GatewayAway(f"the upload of {self.file.name} moved meanwhile; ask where it stands") from fault
                if left <= 0:
                    raise
                yield Wait(backoff.pause(fault.retry_after_s if isinstance(fault, GatewayAway) else 0.0))
                state = yield from ask(tus_state(state.upload_id))
            if state.offset > before:
                backoff.reset()
                left = self.cuts
                self.on_offset(state.offset)
        return state

    def _piece(self, state: TusUpload) -> Flow[TusUpload]:
        if (yield from work(self.file.stat)).st_size != self.size:
            raise FileChanged(f"{self.file} has another size than before")
        size = min(PIECE_BYTES, self.size - state.offset)
        after = yield from ask(
            tus_patch(state.upload_id, self.file, offset=state.offset, size=size, through=self.through)
        )
        if after.offset == self.size and after.verdict is None:
            raise GatewayAway(f"the gateway has all of {self.file.name} and says no verdict")
        return after
