"""`Predictor`: runs model files by the model contract (docs/decisions/0010). Policy lives in the worker."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from varanger.common.words import Sha256

UInt8Images = NDArray[np.uint8]
"""`[N, S, S, 3]`, RGB, letterboxed to the model's square side S."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ModelFile:
    """One ONNX file of a release. Named by content, so a name never means two things."""

    sha256: Sha256
    object_key: str
    """Where its bytes are in the object store, or an absolute path in the embedded and CLI modes."""
    input_size: int
    """S, pixels."""
    classes: tuple[str, ...]
    detector: bool = True
    """A detector answers boxes and scores; a classifier scores alone."""

    @property
    def name(self) -> str:
        """The model's name in the server: `m_` and the first 24 hex digits of its sha256."""
        return f"m_{self.sha256[:24]}"


@dataclass(frozen=True)
class StageOutput:
    """What one model says of a batch of N images."""

    boxes: Floats
    """`[N, 300, 6]`: x1, y1, x2, y2 in input pixels, score, class index; padded with zero scores. `[N, 0, 6]` of a
    classifier."""
    scores: Floats
    """`[N, C]`: highest score per class."""


class Predictor(Protocol):
    """Opened by `open_predictor(url, fetch)`."""

    async def ensure_ready(self, model: ModelFile) -> None:
        """Load the model unless it is ready; concurrent calls load once. The bytes' sha256 is checked.

        Raises:
            DependencyDown: the model server or the object store does not answer.
            ModelFault: the file is not the model the manifest speaks of, or the server cannot load it.
        """

    async def run(self, model: ModelFile, images: UInt8Images) -> StageOutput:
        """Answer a batch; any N from 1, split inside where the server wants smaller ones.

        Raises:
            DependencyDown: no answer within the deadline, server gone or overloaded.
            ModelFault: the answer breaks the model contract (shape, type, NaN).
        """

    async def unload(self, model: ModelFile) -> None:
        """Let the model go; nothing happens where it is not loaded."""

    async def ping(self) -> None:
        """Raises DependencyDown where the model server does not answer."""

    async def close(self) -> None:
        """Let everything go."""
