"""Draw a round from a frame: the same seed and the same images give the same draw, in whatever order they come."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varanger.common.words import BLANK
from varanger.qc.domain.cells import Cell, tabulate_cells
from varanger.qc.domain.design import RoundDesign
from varanger.qc.domain.frame import Frame


@dataclass(frozen=True)
class Draw:
    """n distinct images of a frame, in random order: however far people get, what they answered is a random part.

    `index` (n,) into the frame; `inclusion_probability` (n,) of standing in the round at all, given the design;
    `samples` (n,) of tuples naming the samples an image was drawn for: `overall`, `class:<label>`,
    `bin:(<low>,<high>]`, `blank:<runner-up stratum>`.
    """

    index: NDArray[np.int64]
    inclusion_probability: NDArray[np.float64]
    samples: tuple[tuple[str, ...], ...]
    cells: tuple[Cell, ...]
    """Every cell of the frame, drawn from or not: what the estimator needs to know of the frame."""

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class _Sample:
    """One simple random sample: which one, from which images of the frame, how many."""

    setup: str
    name: str
    domain: NDArray[np.int64]
    size: int


def draw(frame: Frame, design: RoundDesign) -> Draw:
    """The union of the design's samples, each drawn independently.

    An image in a sample of n out of N stands in it with n/N. The samples are independent, so it stands in the round
    with 1 - Π(1 - n_s/N_s) over the samples s whose domain it belongs to: exact, and equal within a cell.

    Takes about a second and a few 8-byte columns for a million images.

    Raises:
        ValueError: the design names a camera setup that the frame does not have.
    """
    unknown = set(design.camera_setups) - set(frame.setups)
    if unknown:
        raise ValueError(f"camera_setups: the frame has no image of {', '.join(sorted(unknown))}")
    frame_size = len(frame)
    missed = np.ones(frame_size)
    taken: dict[int, list[str]] = {}
    for sample in _samples(frame, design):
        size = min(sample.size, len(sample.domain))
        missed[sample.domain] *= 1.0 - size / len(sample.domain)
        drawn = sample.domain[_choose(_stream(design.seed, sample.setup, sample.name), len(sample.domain), size)]
        for index in drawn.tolist():
            taken.setdefault(index, []).append(sample.name)
    index = np.array(sorted(taken), dtype=np.int64)
    index = index[_choose(_stream(design.seed, "", "order"), len(index), len(index))]
    return Draw(
        index=index,
        inclusion_probability=1.0 - missed[index],
        samples=tuple(tuple(taken[position]) for position in index.tolist()),
        cells=tabulate_cells(_only(frame, design), design, _positions(frame, design, index)),
    )


def _samples(frame: Frame, design: RoundDesign) -> Iterator[_Sample]:
    """Every sample of the design whose domain holds an image."""
    bins = design.bin_of(frame.confidence)
    strata = frame.blank_stratum(design)
    blank = frame.labels.index(BLANK) if BLANK in frame.labels else -1
    for setup_code, setup in enumerate(frame.setups):
        if design.camera_setups and setup not in design.camera_setups:
            continue
        inside = np.flatnonzero(frame.setup == setup_code)
        found = [_Sample(setup, "overall", inside, design.overall)]
        for code, label in enumerate(frame.labels):
            if not design.classes or label in design.classes or label == BLANK:
                domain = inside[frame.label[inside] == code]
                found.append(_Sample(setup, f"class:{label}", domain, design.per_class))
        for code, (low, high) in enumerate(design.bins):
            found.append(_Sample(setup, f"bin:({low:g},{high:g}]", inside[bins[inside] == code], design.per_bin))
        for code in range(len(design.runner_up_edges) + 1):
            domain = inside[(frame.label[inside] == blank) & (strata[inside] == code)]
            found.append(_Sample(setup, f"blank:{code}", domain, design.per_blank_stratum))
        yield from (sample for sample in found if sample.size and len(sample.domain))


def _stream(seed: int, setup: str, name: str) -> np.random.PCG64:
    """A stream of its own per sample, so that one more class or setup does not move the others' draws."""
    digest = hashlib.sha256(f"{setup}\x1f{name}".encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.PCG64(np.random.SeedSequence([seed, *words]))


def _choose(stream: np.random.PCG64, population: int, size: int) -> NDArray[np.int64]:
    """`size` of `population` positions at random, in random order: those with the smallest random 64-bit keys.

    Raw words of the bit generator are stable between numpy releases; `Generator.choice` promises no such thing
    (NEP 19), and a stored seed must say the same in ten years.
    """
    keys = np.asarray(stream.random_raw(population), dtype=np.uint64)
    smallest = np.argpartition(keys, size - 1)[:size] if size < population else np.arange(population)
    return smallest[np.argsort(keys[smallest], kind="stable")].astype(np.int64)


def _only(frame: Frame, design: RoundDesign) -> Frame:
    return frame if not design.camera_setups else frame.keep(_asked(frame, design))


def _positions(frame: Frame, design: RoundDesign, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the drawn images stand once the setups not asked for are gone."""
    return index if not design.camera_setups else (np.cumsum(_asked(frame, design)) - 1)[index].astype(np.int64)


def _asked(frame: Frame, design: RoundDesign) -> NDArray[np.bool_]:
    return np.isin(frame.setup, [frame.setups.index(setup) for setup in design.camera_setups])
