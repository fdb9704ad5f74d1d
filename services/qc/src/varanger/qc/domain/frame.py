"""The frame: every image a round could draw, as columns, so that a million rows cost tens of megabytes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from varanger.common.words import BLANK
from varanger.qc.domain.design import RoundDesign

_CHUNK = 65_536

FrameRow = tuple[UUID, str, str, float]
"""media id, camera setup, predicted label, confidence."""


@dataclass(frozen=True)
class Frame:
    """N images with their machine answers, in ascending order of media id.

    `media_id` (N, 2) uint64: high and low half of the UUID; `setup` and `label` (N,) indices into `setups` and
    `labels`, which are sorted by name; `confidence` (N,) in 0-1; `runner_up` (N,) highest animal score over all
    stages of a blank (unused for other labels).
    """

    media_id: NDArray[np.uint64]
    setup: NDArray[np.int64]
    label: NDArray[np.int64]
    confidence: NDArray[np.float64]
    runner_up: NDArray[np.float64]
    setups: tuple[str, ...]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.confidence)

    def media(self, index: int) -> UUID:
        """The id of one image."""
        high, low = self.media_id[index]
        return UUID(int=(int(high) << 64) | int(low))

    @classmethod
    def of(
        cls,
        *,
        media_id: NDArray[np.uint64],
        setup: NDArray[np.int64],
        label: NDArray[np.int64],
        confidence: NDArray[np.float64],
        setups: Sequence[str],
        labels: Sequence[str],
        runner_up: NDArray[np.float64] | None = None,
    ) -> "Frame":
        """Columns in any order, as a frame. Without `runner_up`, a blank's is 1 - confidence, as the words say.

        Raises:
            ValueError: an image stands in it twice, or a confidence lies outside 0-1.
        """
        if len(confidence) and not (confidence.min() >= 0.0 and confidence.max() <= 1.0):
            raise ValueError("confidence: outside 0-1")
        given = 1.0 - confidence if runner_up is None else runner_up
        high, low = media_id[:, 0], media_id[:, 1]
        order = _ascending(high, low)
        if order is not None:
            media_id, setup, label = media_id[order], setup[order], label[order]
            confidence, given = confidence[order], given[order]
            high, low = media_id[:, 0], media_id[:, 1]
        if np.any((high[1:] == high[:-1]) & (low[1:] == low[:-1])):
            raise ValueError("media_id: an image stands in the frame twice")
        setup, sorted_setups = _by_name(setup, setups)
        label, sorted_labels = _by_name(label, labels)
        return cls(media_id, setup, label, confidence, given, sorted_setups, sorted_labels)

    @classmethod
    def from_rows(cls, rows: Iterable[FrameRow]) -> "Frame":
        """Read rows in chunks, so that no more than one chunk of Python objects lives at a time."""
        columns = FrameColumns()
        for row in rows:
            columns.add(row)
        return columns.frame()

    def keep(self, mask: NDArray[np.bool_]) -> "Frame":
        """The images where `mask` (N,) holds; names stay as they are."""
        return Frame(
            self.media_id[mask],
            self.setup[mask],
            self.label[mask],
            self.confidence[mask],
            self.runner_up[mask],
            self.setups,
            self.labels,
        )

    def blank_stratum(self, design: RoundDesign) -> NDArray[np.int64]:
        """Runner-up stratum of each image (N,); 0 for everything that is not a blank."""
        stratum = np.zeros(len(self), dtype=np.int64)
        if BLANK in self.labels and design.runner_up_edges:
            blank = self.label == self.labels.index(BLANK)
            stratum[blank] = design.runner_up_stratum_of(self.runner_up[blank])
        return stratum


class FrameColumns:
    """Collects rows as they come from the catalog and packs them chunk by chunk."""

    def __init__(self) -> None:
        self._setups: dict[str, int] = {}
        self._labels: dict[str, int] = {}
        self._rows: list[tuple[int, int, int, int, float]] = []
        self._packed: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float64]]] = []

    def add(self, row: FrameRow) -> None:
        """One more image."""
        media_id, setup, label, confidence = row
        whole = media_id.int
        setup_code = self._setups.setdefault(setup, len(self._setups))
        label_code = self._labels.setdefault(label, len(self._labels))
        self._rows.append((whole >> 64, whole & 0xFFFF_FFFF_FFFF_FFFF, setup_code, label_code, confidence))
        if len(self._rows) >= _CHUNK:
            self._pack()

    def frame(self) -> Frame:
        """All rows added so far."""
        self._pack()
        ids, codes, confidence = (np.concatenate(part) for part in zip(*self._packed, strict=True))
        return Frame.of(
            media_id=ids,
            setup=codes[:, 0],
            label=codes[:, 1],
            confidence=confidence,
            setups=tuple(self._setups),
            labels=tuple(self._labels),
        )

    def _pack(self) -> None:
        ids = np.array([row[:2] for row in self._rows], dtype=np.uint64).reshape(-1, 2)
        codes = np.array([row[2:4] for row in self._rows], dtype=np.int64).reshape(-1, 2)
        confidence = np.array([row[4] for row in self._rows], dtype=np.float64)
        self._packed.append((ids, codes, confidence))
        self._rows = []


def _ascending(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.int64] | None:
    """The order that sorts the ids, or None where they already ascend.

    High halves of UUIDv7 rarely tie, and one plain sort is several times faster than sorting by both.
    """
    if bool(((high[1:] > high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] >= low[:-1]))).all()):
        return None
    order = np.argsort(high).astype(np.int64)
    same = high[order][1:] == high[order][:-1]
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
        members = order[tied]
        order[tied] = members[np.lexsort((low[members], high[members]))]
    return order


def _by_name(codes: NDArray[np.int64], names: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Recode so that the names are sorted: neither order of rows nor of first sight matters."""
    order = sorted(range(len(names)), key=lambda code: names[code])
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return rank[codes] if len(codes) else codes, tuple(names[code] for code in order)
