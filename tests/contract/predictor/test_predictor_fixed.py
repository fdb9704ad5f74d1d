"""The stand-in model keeps the contract, and answers the same image the same way."""

import asyncio

import numpy as np
import pytest

from varanger.common.adapters import open_predictor
from varanger.common.adapters.predictor_fixed import FixedLatencyPredictor
from varanger.common.ports.predictor import ModelFile

DETECTOR = ModelFile("a" * 64, "nowhere", 64, ("hare", "mouse", "person"))
CLASSIFIER = ModelFile("b" * 64, "nowhere", 64, ("hare", "empty"), detector=False)


async def no_fetch(key: str) -> bytes:
    raise AssertionError(f"{key}: the stand-in reads no file")


async def test_it_is_opened_by_url() -> None:
    opened = open_predictor("fixed://?latency_ms=40", no_fetch)
    assert isinstance(opened, FixedLatencyPredictor)
    assert opened.latency_s == 0.04


async def test_the_same_image_gets_the_same_answer() -> None:
    images = np.random.default_rng(1).integers(0, 255, (40, 64, 64, 3), np.uint8)
    predictor = FixedLatencyPredictor()
    await predictor.ensure_ready(DETECTOR)
    together = await predictor.run(DETECTOR, images)
    alone = [await predictor.run(DETECTOR, images[index : index + 1]) for index in range(40)]
    np.testing.assert_array_equal(together.boxes, np.concatenate([one.boxes for one in alone]))
    np.testing.assert_array_equal(together.scores, np.concatenate([one.scores for one in alone]))
    blank = (together.boxes[:, 0, 4] == 0).mean()
    assert 0.1 < blank < 0.6


async def test_a_classifier_gets_probabilities() -> None:
    output = await FixedLatencyPredictor().run(CLASSIFIER, np.zeros((2, 64, 64, 3), np.uint8))
    assert output.boxes.shape == (2, 0, 6)
    np.testing.assert_allclose(output.scores.sum(axis=1), 1.0, rtol=1e-5)


async def test_calls_wait_side_by_side() -> None:
    predictor = FixedLatencyPredictor(0.05)
    work = [asyncio.create_task(predictor.run(DETECTOR, np.zeros((1, 64, 64, 3), np.uint8))) for _ in range(3)]
    await asyncio.sleep(0)
    assert len(predictor.calls) == 3
    await asyncio.gather(*work)


async def test_it_refuses_what_a_model_would() -> None:
    with pytest.raises(ValueError, match="uint8"):
        await FixedLatencyPredictor().run(DETECTOR, np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="latency"):
        open_predictor("fixed://?latency_ms=-1", no_fetch)
