"""The promises of `Predictor` (its docstrings), held against ONNX Runtime and a real Triton alike."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from varanger.common.errors import ModelFault
from varanger.common.ports.predictor import Predictor, UInt8Images

SIDE = 32
MakeModel = Callable[..., bytes]


def images(*grey: int) -> UInt8Images:
    """One uniform image per value."""
    return np.stack([np.full((SIDE, SIDE, 3), value, np.uint8) for value in grey])


async def test_a_detector_answers_boxes_and_scores(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    model = bundle.add(make_model())
    await predictor.ensure_ready(model)
    output = await predictor.run(model, images(0, 51, 255))
    assert output.boxes.shape == (3, 300, 6)
    assert output.boxes.dtype == output.scores.dtype == np.float32
    np.testing.assert_allclose(output.boxes[:, 0], [(1, 2, 3, 4, 0.75, 1)] * 3)
    assert not output.boxes[:, 1:].any()
    np.testing.assert_allclose(output.scores, [(0, 0), (0.2, 0.1), (1, 0.5)], rtol=1e-5)


async def test_a_classifier_answers_scores_alone(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    model = bundle.add(make_model(detector=False), detector=False)
    await predictor.ensure_ready(model)
    output = await predictor.run(model, images(255))
    assert output.boxes.shape == (1, 0, 6)
    np.testing.assert_allclose(output.scores, [(1, 0.5)], rtol=1e-5)


async def test_any_batch_is_answered_in_order(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    model = bundle.add(make_model())
    await predictor.ensure_ready(model)
    output = await predictor.run(model, images(*range(71)))
    np.testing.assert_allclose(output.scores[:, 0], np.arange(71) / 255, rtol=1e-5)


async def test_concurrent_calls_get_their_own_answers(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    model = bundle.add(make_model())
    await predictor.ensure_ready(model)
    outputs = await asyncio.gather(*(predictor.run(model, images(value, value + 1)) for value in range(20)))
    for value, output in enumerate(outputs):
        np.testing.assert_allclose(output.scores[:, 0], [value / 255, (value + 1) / 255], rtol=1e-5)


async def test_concurrent_callers_load_once(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    model = bundle.add(make_model())
    await asyncio.gather(*(predictor.ensure_ready(model) for _ in range(8)))
    await predictor.ensure_ready(model)
    assert bundle.reads == [model.object_key]


async def test_one_callers_end_is_not_the_others(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    model = bundle.add(make_model())
    first = asyncio.create_task(predictor.ensure_ready(model))
    second = asyncio.create_task(predictor.ensure_ready(model))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert len((await predictor.run(model, images(1))).scores) == 1


async def test_other_bytes_than_the_manifests_are_refused(
    predictor: Predictor, bundle: Any, make_model: MakeModel
) -> None:
    model = bundle.add(make_model())
    bundle.files[model.object_key] = make_model(divisor=128.0)
    with pytest.raises(ModelFault, match=model.sha256[:12]):
        await predictor.ensure_ready(model)


async def test_a_missing_file_is_named(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    model = replace(bundle.add(make_model()), object_key="/no/such/file.onnx")
    with pytest.raises(ModelFault, match="/no/such/file"):
        await predictor.ensure_ready(model)


async def test_a_failed_load_can_be_tried_again(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    model = bundle.add(make_model())
    good = bundle.files[model.object_key]
    bundle.files[model.object_key] = b"half a file"
    with pytest.raises(ModelFault):
        await predictor.ensure_ready(model)
    bundle.files[model.object_key] = good
    await predictor.ensure_ready(model)


async def test_a_file_that_is_no_model_is_refused(predictor: Predictor, bundle: Any, salt: str) -> None:
    with pytest.raises(ModelFault):
        await predictor.ensure_ready(bundle.add(b"not a model" + salt.encode()))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"divisor": 0.0}, "NaN"),
        ({"box": (0, 0, 1, 1, 0.5, 7)}, "class"),
        ({"divisor": 2.0}, "outside"),
    ],
)
async def test_an_answer_against_the_contract_is_the_models_fault(
    predictor: Predictor, bundle: Any, make_model: MakeModel, fault: dict[str, Any], words: str
) -> None:
    model = bundle.add(make_model(**fault))
    await predictor.ensure_ready(model)
    with pytest.raises(ModelFault, match=words):
        await predictor.run(model, images(255))


async def test_a_model_of_other_classes_than_the_manifests_is_at_fault(
    predictor: Predictor, bundle: Any, make_model: MakeModel
) -> None:
    model = bundle.add(make_model(), classes=("hare", "mouse", "rat"))
    with pytest.raises(ModelFault):
        await predictor.ensure_ready(model)
        await predictor.run(model, images(1))


async def test_images_of_another_size_are_our_fault(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    model = bundle.add(make_model())
    await predictor.ensure_ready(model)
    with pytest.raises(ValueError, match="uint8"):
        await predictor.run(model, np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        await predictor.run(model, images(1)[:0])


async def test_the_loop_turns_while_a_model_works(predictor: Predictor, bundle: Any, slow_model: bytes) -> None:
    model = bundle.add(slow_model)
    await predictor.ensure_ready(model)
    work = asyncio.create_task(predictor.run(model, images(*range(4))))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert len((await work).scores) == 4
    assert turns > 10


async def test_an_unloaded_model_comes_back(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    model = bundle.add(make_model())
    await predictor.ensure_ready(model)
    await predictor.unload(model)
    await predictor.unload(model)
    await predictor.ensure_ready(model)
    assert len((await predictor.run(model, images(1))).scores) == 1
    assert bundle.reads == [model.object_key] * 2


async def test_two_models_stand_side_by_side(predictor: Predictor, bundle: Any, make_model: MakeModel) -> None:
    old, new = bundle.add(make_model()), bundle.add(make_model(divisor=510.0))
    await predictor.ensure_ready(old)
    await predictor.ensure_ready(new)
    await predictor.unload(old)
    np.testing.assert_allclose((await predictor.run(new, images(255))).scores, [(0.5, 0.25)], rtol=1e-5)


async def test_it_answers_a_ping(predictor: Predictor) -> None:
    await predictor.ping()
