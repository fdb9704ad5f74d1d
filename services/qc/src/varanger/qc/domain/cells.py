"""Cells: camera setup × predicted class × confidence bin (× runner-up stratum, for blanks).

Whether an image is drawn depends on its cell alone, so the images drawn of a cell are a simple random sample of it.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from varanger.common.words import Frozen
from varanger.qc.domain.design import RoundDesign
from varanger.qc.domain.frame import Frame


class Cell(Frozen):
    """One cell of the frame: `images` in it, of which `drawn` in the round."""

    camera_setup: str
    label: str
    bin: int = Field(ge=0)
    """Index of the confidence bin."""
    stratum: int = Field(default=0, ge=0)
    """Index of the runner-up stratum of blanks; 0 for other labels."""
    images: int = Field(ge=1)
    drawn: int = Field(ge=0)


CellKey = tuple[str, str, int, int]
"""camera setup, label, bin, runner-up stratum."""


def key_of(cell: Cell) -> CellKey:
    """What names a cell within its round."""
    return cell.camera_setup, cell.label, cell.bin, cell.stratum


def key_of_image(design: RoundDesign, camera_setup: str, label: str, confidence: float, *, blank: bool) -> CellKey:
    """The cell of one image, by the same rule as `cell_codes`."""
    bin_index = int(design.bin_of(np.array([confidence]))[0])
    stratum = 0
    if blank and design.runner_up_edges:
        stratum = int(design.runner_up_stratum_of(np.array([1.0 - confidence]))[0])
    return camera_setup, label, bin_index, stratum


def cell_codes(frame: Frame, design: RoundDesign) -> NDArray[np.int64]:
    """A number per image (N,) that two images share iff they share a cell; ascends by setup, label, bin, stratum."""
    bins, strata = len(design.bins), len(design.runner_up_edges) + 1
    code = frame.setup * len(frame.labels) + frame.label
    code = code * bins + design.bin_of(frame.confidence)
    return code * strata + frame.blank_stratum(design)


def tabulate_cells(frame: Frame, design: RoundDesign, drawn: NDArray[np.int64]) -> tuple[Cell, ...]:
    """Every cell that holds an image, with its size and how many of it stand at the `drawn` (n,) indices."""
    bins, strata = len(design.bins), len(design.runner_up_edges) + 1
    codes = cell_codes(frame, design)
    many = len(frame.setups) * len(frame.labels) * bins * strata
    images = np.bincount(codes, minlength=many)
    taken = np.bincount(codes[drawn], minlength=many)
    cells = []
    for code in np.flatnonzero(images).tolist():
        rest, stratum = divmod(code, strata)
        rest, bin_index = divmod(rest, bins)
        setup, label = divmod(rest, len(frame.labels))
        cells.append(
            Cell(
                camera_setup=frame.setups[setup],
                label=frame.labels[label],
                bin=bin_index,
                stratum=stratum,
                images=int(images[code]),
                drawn=int(taken[code]),
            )
        )
    return tuple(cells)
