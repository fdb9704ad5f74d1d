"""The model contract (docs/decisions/0010) as both predictor adapters hold a model to it: names, checks, splitting."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varanger.common.errors import ModelFault
from varanger.common.ports.predictor import ModelFile, StageOutput, UInt8Images

INPUT = "images"
BOXES = "boxes"
SCORES = "scores"
MAX_BOXES = 300
ROUNDING = 1e-4


def output_names(model: ModelFile) -> list[str]:
    """A detector answers boxes and scores, a classifier scores alone."""
    return [BOXES, SCORES] if model.detector else [SCORES]


def verify_bytes(model: ModelFile, data: bytes) -> None:
    """Raises ModelFault where the bytes are not the file the manifest speaks of."""
    found = hashlib.sha256(data).hexdigest()
    if found != model.sha256:
        raise ModelFault(f"{model.object_key} holds {found[:12]}…, the release asks for {model.sha256[:12]}…")


def check_images(model: ModelFile, images: UInt8Images) -> None:
    """Raises ValueError (ours, not the model's fault) for anything but uint8 `[N >= 1, S, S, 3]`."""
    side = model.input_size
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, 3) or not len(images):
        raise ValueError(f"{model.name} takes uint8 [N, {side}, {side}, 3], not {images.dtype} {images.shape}")


def check_output(model: ModelFile, count: int, boxes: NDArray[Any] | None, scores: NDArray[Any] | None) -> StageOutput:
    """Hold one answer to the contract.

    Args:
        model: who answered.
        count: N, images asked about.
        boxes: float32 `[N, 300, 6]`; None from a classifier.
        scores: float32 `[N, C]`.

    Raises:
        ModelFault: naming what does not hold.
    """
    if boxes is None:
        boxes = np.zeros((count, 0, 6), np.float32)
        expected_boxes: tuple[int, ...] = (count, 0, 6)
    else:
        expected_boxes = (count, MAX_BOXES, 6)
    if scores is None:
        raise ModelFault(f"{model.name} answers no {SCORES!r}")
    for name, values, shape in ((BOXES, boxes, expected_boxes), (SCORES, scores, (count, len(model.classes)))):
        if values.dtype != np.float32:
            raise ModelFault(f"{model.name}: {name} are {values.dtype}, not float32")
        if values.shape != shape:
            raise ModelFault(f"{model.name}: {name} have shape {list(values.shape)}, not {list(shape)}")
        if not np.isfinite(values).all():
            raise ModelFault(f"{model.name}: {name} hold NaN or infinity")
    kept = boxes[boxes[..., 4] > 0] if boxes.size else boxes.reshape(0, 6)
    if kept.size and (kept[:, 5].min() < 0 or kept[:, 5].max() >= len(model.classes)):
        raise ModelFault(f"{model.name}: a box has a class beyond the {len(model.classes)} of the manifest")
    for values in (kept[:, 4], scores):
        if values.size and (values.min() < 0 or values.max() > 1 + ROUNDING):
            raise ModelFault(f"{model.name}: a score is outside 0-1")
    return StageOutput(boxes, scores)


def pieces(images: UInt8Images, at_most: int) -> Iterator[UInt8Images]:
    """The batch in pieces of at most that many images, in order."""
    for start in range(0, len(images), at_most):
        yield images[start : start + at_most]


def joined(outputs: list[StageOutput]) -> StageOutput:
    """The pieces' answers as one."""
    if len(outputs) == 1:
        return outputs[0]
    return StageOutput(
        np.concatenate([output.boxes for output in outputs]), np.concatenate([output.scores for output in outputs])
    )
