"""What a round draws, fixed before anybody looks at an image (Böhner et al. 2023, sections 2.3 and 3.3)."""

from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from varanger.common.words import Frozen, Share

TENTHS: tuple[float, ...] = tuple(round(tenth / 10, 1) for tenth in range(11))
RUNNER_UP_EDGES: tuple[float, ...] = (0.001, 0.01, 0.05)
"""Blanks are split where the highest animal score passes these: missed animals hide among the upper ones."""
LARGEST_SEED = 2**63 - 1


class RoundDesign(Frozen):
    """One QC sample, per `camera_setup`: images at random, of each predicted class, of each confidence bin.

    Each sample is a simple random sample without replacement, drawn independently of the others, so an image may
    stand in several; a person answers it once. A sample larger than its domain takes the whole domain.
    The defaults are the paper's: 1000, 200 and 200. Blanks are a class like any other, always.
    """

    seed: int = Field(ge=0, le=LARGEST_SEED)
    camera_setups: tuple[str, ...] = ()
    """Those to draw from; empty: every one in the frame."""
    classes: tuple[str, ...] = ()
    """Predicted classes that get a sample of their own; empty: every one in the frame."""
    overall: int = Field(default=1000, ge=0)
    per_class: int = Field(default=200, ge=0)
    per_bin: int = Field(default=200, ge=0)
    bin_edges: tuple[Share, ...] = TENTHS
    """Bins are (low, high]; a confidence of exactly the lowest edge belongs to the first bin."""
    runner_up_edges: tuple[Share, ...] = RUNNER_UP_EDGES
    """Post-strata of blanks by the highest animal score any stage gave, (low, high]; empty: blanks stay whole."""
    per_blank_stratum: int = Field(default=0, ge=0)
    """Images of each of those strata, on top. Not the paper's: it sharpens the recall of rare species."""

    @model_validator(mode="after")
    def _edges_ascend(self) -> Self:
        if len(self.bin_edges) < 2 or self.bin_edges[0] != 0.0 or self.bin_edges[-1] != 1.0:
            raise ValueError("bin_edges: must run from 0 to 1")
        for edges, name in ((self.bin_edges, "bin_edges"), (self.runner_up_edges, "runner_up_edges")):
            if any(low >= high for low, high in pairwise(edges)):
                raise ValueError(f"{name}: must ascend")
        if not (self.overall or self.per_class or self.per_bin):
            raise ValueError("overall, per_class, per_bin: a round that draws nothing")
        return self

    @property
    def bins(self) -> tuple[tuple[float, float], ...]:
        """(low, high] of each confidence bin, lowest first."""
        return tuple(pairwise(self.bin_edges))

    def bin_of(self, confidence: NDArray[np.float64]) -> NDArray[np.int64]:
        """Index of the bin of each confidence. Shapes (n,) → (n,)."""
        return np.searchsorted(np.asarray(self.bin_edges[1:-1]), confidence, side="left").astype(np.int64)

    def runner_up_stratum_of(self, runner_up: NDArray[np.float64]) -> NDArray[np.int64]:
        """Index of the runner-up stratum of each blank, 0 the emptiest. Shapes (n,) → (n,)."""
        return np.searchsorted(np.asarray(self.runner_up_edges), runner_up, side="left").astype(np.int64)
