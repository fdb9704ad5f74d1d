"""The adapters under the `Predictor` contract, and tiny models made here whose answers are known."""

import functools
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from varanger.common.adapters import open_predictor
from varanger.common.errors import ObjectMissing
from varanger.common.ports.predictor import ModelFile, Predictor

SIDE = 32


@dataclass
class Bundle:
    """Model files by key, as an object store would hold them; counts how often each was read."""

    files: dict[str, bytes] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    models: list[ModelFile] = field(default_factory=list)

    async def fetch(self, key: str) -> bytes:
        self.reads.append(key)
        if key not in self.files:
            raise ObjectMissing(key)
        return self.files[key]

    def add(self, data: bytes, *, classes: tuple[str, ...] = ("hare", "mouse"), detector: bool = True) -> ModelFile:
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"releases/test/models/{sha256}.onnx"
        self.files[key] = data
        model = ModelFile(sha256, key, SIDE, classes, detector)
        self.models.append(model)
        return model


def onnx_model(
    *, detector: bool = True, box: tuple[float, ...] = (1, 2, 3, 4, 0.75, 1), divisor: float = 255.0, salt: str = ""
) -> bytes:
    """A model by the contract: scores are (mean byte / divisor, half of it); a detector has one box, its score real.

    A divisor of 0 answers NaN for black images and infinity for others. `salt` makes the bytes, so the name, unique.
    """
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = box
    constants = {
        "divisor": np.float32(divisor),
        "last": np.array([1], np.int64),
        "halves": np.array([[1.0, 0.5]], np.float32),
        "tail": np.array([300, 6], np.int64),
        "rows": rows,
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["mean", "divisor"], ["share"]),
        helper.make_node("Unsqueeze", ["share", "last"], ["column"]),
        helper.make_node("Mul", ["column", "halves"], ["scores"]),
    ]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 2])]
    if detector:
        nodes += [
            helper.make_node("Shape", ["share"], ["count"]),
            helper.make_node("Concat", ["count", "tail"], ["shape"], axis=0),
            helper.make_node("Expand", ["rows", "shape"], ["boxes"]),
        ]
        outputs.insert(0, helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 300, 6]))
    return _written(nodes, outputs, constants, salt)


def slow_onnx_model(salt: str) -> bytes:
    """By the contract, but busy for about a second an image on one core."""
    size = 700
    constants = {
        "last": np.array([1], np.int64),
        "square": np.eye(size, dtype=np.float32),
        "halves": np.array([[1.0, 0.5]], np.float32),
        "tail": np.array([300, 6], np.int64),
        "rows": np.zeros((1, 300, 6), np.float32),
        "size": np.array([1, size, size], np.int64),
        "no": np.float32(0.0),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column0"]),
        helper.make_node("Unsqueeze", ["column0", "last"], ["cube"]),
        helper.make_node("Expand", ["cube", "size"], ["work0"]),
    ]
    rounds = 60
    for index in range(rounds):
        nodes.append(helper.make_node("MatMul", [f"work{index}", "square"], [f"work{index + 1}"]))
    nodes += [
        helper.make_node("ReduceMean", [f"work{rounds}"], ["result"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["result", "no"], ["share"]),
        helper.make_node("Unsqueeze", ["share", "last"], ["column"]),
        helper.make_node("Mul", ["column", "halves"], ["scores"]),
        helper.make_node("Shape", ["share"], ["count"]),
        helper.make_node("Concat", ["count", "tail"], ["shape"], axis=0),
        helper.make_node("Expand", ["rows", "shape"], ["boxes"]),
    ]
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 300, 6]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 2]),
    ]
    return _written(nodes, outputs, constants, salt)


def _written(
    nodes: list[onnx.NodeProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray | np.float32],
    salt: str,
) -> bytes:
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    kept = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [images], outputs, kept, doc_string=salt)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture
def bundle() -> Bundle:
    return Bundle()


@pytest.fixture
def salt() -> str:
    """Unique per test, so that runs that share a Triton never meet in a model's name."""
    return os.urandom(8).hex()


@pytest.fixture(params=["onnx", "triton"])
async def predictor(request: pytest.FixtureRequest, bundle: Bundle) -> AsyncIterator[Predictor]:
    """Each real adapter over the same bundle."""
    url = "onnx://" if request.param == "onnx" else request.getfixturevalue("triton_url")
    opened = open_predictor(url, bundle.fetch)
    yield opened
    for model in bundle.models:
        await opened.unload(model)
    await opened.close()


@pytest.fixture
def make_model(salt: str) -> Callable[..., bytes]:
    """`onnx_model` with this test's salt."""
    return functools.partial(onnx_model, salt=salt)


@pytest.fixture
def slow_model(salt: str) -> bytes:
    return slow_onnx_model(salt)
