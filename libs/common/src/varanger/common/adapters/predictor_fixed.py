"""`fixed://?latency_ms=40`: a stand-in model of known speed, for tests and benchmarks of all that is around models."""

import asyncio
import hashlib

import numpy as np

from varanger.common.adapters.predictor_contract import MAX_BOXES, check_images, check_output
from varanger.common.ports.predictor import Floats, ModelFile, StageOutput, UInt8Images


class FixedLatencyPredictor:
    """Answers every call after a fixed time, with boxes drawn from the image's own bytes: same image, same boxes.

    A third of all images are blank to a given model, the rest show one to three animals. The wait does not hold the
    loop nor a core, as a model server's does not; calls wait side by side.
    """

    def __init__(self, latency_s: float = 0.0) -> None:
        if latency_s < 0:
            raise ValueError("latency_ms: time does not run backwards")
        self.latency_s = latency_s
        self.loaded: set[str] = set()
        self.calls: list[tuple[str, int]] = []
        """Model name and number of images, of each call so far."""

    async def ensure_ready(self, model: ModelFile) -> None:
        """Ready at once; no file is read."""
        self.loaded.add(model.sha256)

    async def run(self, model: ModelFile, images: UInt8Images) -> StageOutput:
        """See `Predictor.run`."""
        check_images(model, images)
        self.calls.append((model.name, len(images)))
        await asyncio.sleep(self.latency_s)
        boxes = np.zeros((len(images), MAX_BOXES if model.detector else 0, 6), np.float32)
        scores = np.zeros((len(images), len(model.classes)), np.float32)
        for index, image in enumerate(images):
            # Every 61st byte is enough to tell images apart, and 61 meets all three channels.
            digest = hashlib.sha256(model.sha256.encode() + image.tobytes()[::61]).digest()
            dice = np.random.default_rng(list(digest))
            _draw(model, dice, boxes[index], scores[index])
        return check_output(model, len(images), boxes if model.detector else None, scores)

    async def unload(self, model: ModelFile) -> None:
        """See `Predictor.unload`."""
        self.loaded.discard(model.sha256)

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing to let go."""


def _draw(model: ModelFile, dice: np.random.Generator, boxes: Floats, scores: Floats) -> None:
    scores[:] = dice.uniform(0.0, 0.05, len(scores))
    if not model.detector:
        scores[dice.integers(len(scores))] += 1.0
        scores /= scores.sum()
        return
    for row in range(dice.choice((0, 0, 1, 1, 2, 3))):
        width, height = dice.uniform(0.05, 0.3, 2) * model.input_size
        left, top = dice.uniform(0, model.input_size - width), dice.uniform(0, model.input_size - height)
        score, label = dice.uniform(0.3, 0.99), int(dice.integers(len(scores)))
        boxes[row] = (left, top, left + width, top + height, score, label)
        scores[label] = max(scores[label], score)
