"""The stand-in backend with a stand-in server: what it answers, and what it says of bad models and requests.

That a real Triton loads it is seen by the tests that run the Triton predictor.
"""

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

MODEL = Path(__file__).resolve().parents[3] / "deploy" / "triton" / "backends" / "onnxruntime" / "model.py"


class Tensor:
    """triton_python_backend_utils.Tensor, as far as a backend sees it."""

    def __init__(self, name: str, array: np.ndarray) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> np.ndarray:
        return self.array


class Response:
    """triton_python_backend_utils.InferenceResponse, as far as a backend sees it."""

    def __init__(self, output_tensors: list[Tensor] | None = None, error: Exception | None = None) -> None:
        self.outputs = {tensor.name: tensor.array for tensor in output_tensors or []}
        self.error = error


class TritonModelException(Exception):
    """Loading failed."""


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    server = types.SimpleNamespace(
        Tensor=Tensor,
        InferenceResponse=Response,
        TritonError=Exception,
        TritonModelException=TritonModelException,
        Logger=types.SimpleNamespace(log_warn=lambda text: None),
        get_input_tensor_by_name=lambda request, name: request[name],
        triton_string_to_numpy={"TYPE_FP32": np.float32, "TYPE_UINT8": np.uint8}.__getitem__,
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", server)
    spec = importlib.util.spec_from_file_location("varanger_triton_backend", MODEL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A model folder whose model doubles its UINT8 input of two columns."""
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["float", "float"], ["doubled"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 2])
    doubled = helper.make_tensor_value_info("doubled", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(nodes, "double", [images], [doubled])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "1").mkdir()
    onnx.save(model, tmp_path / "1" / "model.onnx")
    return tmp_path


def config(**changes: Any) -> dict[str, Any]:
    plain = {
        "max_batch_size": 8,
        "input": [{"name": "images", "data_type": "TYPE_UINT8", "dims": [2]}],
        "output": [{"name": "doubled", "data_type": "TYPE_FP32", "dims": [2]}],
        "parameters": {"intra_op_thread_count": {"string_value": "1"}},
    }
    return {**plain, **changes}


def loaded(backend: types.ModuleType, repository: Path, **changes: Any) -> Any:
    model = backend.TritonPythonModel()
    words = {"model_config": json.dumps(config(**changes)), "model_repository": str(repository), "model_version": "1"}
    model.initialize(words)
    return model


def request(*rows: tuple[int, ...]) -> dict[str, Tensor]:
    return {"images": Tensor("images", np.array(rows, dtype=np.uint8))}


def test_requests_share_a_batch_and_get_their_own_rows(backend: types.ModuleType, repository: Path):
    model = loaded(backend, repository)
    answers = model.execute([request((1, 2)), request((3, 4), (5, 6)), request((7, 8))])
    assert [answer.error for answer in answers] == [None, None, None]
    assert [answer.outputs["doubled"].tolist() for answer in answers] == [
        [[2.0, 4.0]],
        [[6.0, 8.0], [10.0, 12.0]],
        [[14.0, 16.0]],
    ]


def test_a_bad_request_gets_its_own_error_and_spoils_no_other(backend: types.ModuleType, repository: Path):
    model = loaded(backend, repository)
    good, bad, last = model.execute([request((1, 2)), request((1, 2, 3)), request((3, 4))])
    assert "onnxruntime" in str(bad.error)
    assert good.outputs["doubled"].tolist() == [[2.0, 4.0]]
    assert last.outputs["doubled"].tolist() == [[6.0, 8.0]]


def test_a_bad_batch_is_tried_one_by_one(backend: types.ModuleType, repository: Path):
    model = loaded(backend, repository)
    answers = model.execute([request((1, 2, 3)), request((4, 5, 6))])
    assert all("onnxruntime" in str(answer.error) for answer in answers)


def test_without_batching_each_request_runs_alone(backend: types.ModuleType, repository: Path):
    model = loaded(backend, repository, max_batch_size=0)
    assert [a.outputs["doubled"].tolist() for a in model.execute([request((1, 1)), request((2, 2))])] == [
        [[2.0, 2.0]],
        [[4.0, 4.0]],
    ]


def test_threads_are_the_configured_ones_and_do_not_spin(backend: types.ModuleType):
    options = backend.session_options(config(parameters={"intra_op_thread_count": {"string_value": "3"}}))
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"output": [{"name": "scores", "data_type": "TYPE_FP32"}]}, "no output 'scores'; it has doubled"),
        ({"input": [{"name": "images", "data_type": "TYPE_FP32"}]}, "'images' is TYPE_UINT8 in the model"),
        ({"input": []}, "the model has 1 inputs and the configuration 0"),
        ({"parameters": {"intra_op_thread_count": {"string_value": "many"}}}, "'many', not a whole number"),
        ({"default_model_filename": "other.onnx"}, "other.onnx cannot be opened"),
    ],
)
def test_a_model_that_does_not_fit_its_configuration_is_not_loaded(
    backend: types.ModuleType, repository: Path, changes: dict[str, Any], told: str
):
    with pytest.raises(TritonModelException, match=told):
        loaded(backend, repository, **changes)


def test_a_broken_file_is_not_loaded(backend: types.ModuleType, repository: Path):
    (repository / "1" / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(TritonModelException, match=r"model\.onnx cannot be opened"):
        loaded(backend, repository)
