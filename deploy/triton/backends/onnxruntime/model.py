"""A Triton backend named `onnxruntime`, in Python, for machines without NVIDIA's native one.

Triton loads this file for every model whose configuration says `backend: "onnxruntime"` when the backend
folder holds it in the place of `libtriton_onnxruntime.so`. A model's files and its `config.pbtxt` are so the
same here and in NVIDIA's image. It runs on the CPU and honours these of the native backend's parameters:

    intra_op_thread_count   threads within one operator (default 1: few cores, several models)
    inter_op_thread_count   threads between operators (default 1)

It works for models in a repository folder and for those sent over gRPC with the load request
("file:1/model.onnx"), which Triton lays out in a temporary folder of the same shape.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Request: TypeAlias = Any  # triton.InferenceRequest; the module exists only inside the server
Response: TypeAlias = Any  # triton.InferenceResponse
ModelConfig: TypeAlias = Any  # the server's own configuration object

TRITON_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}
"""ONNX Runtime's names of element types, and Triton's."""

DEFAULT_FILE = "model.onnx"


class TritonPythonModel:
    """One instance of one model; Triton makes it, calls `execute`, and ends it."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: ModelConfig) -> ModelConfig:
        """Leave the configuration as it was written.

        Triton does not say here where the model's files are, and guessing the repository would fail for
        models sent over gRPC. Ours always state inputs and outputs; `initialize` checks them with the file.
        """
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model file and compare it with the configuration.

        Args:
            args: Triton's words: `model_config` (JSON), `model_repository` (the model's folder) and
                `model_version`.

        Raises:
            triton.TritonModelException: the file is missing or broken, or its inputs or outputs are others
                than the configuration's; loading the model then fails with this text.
        """
        config = json.loads(args["model_config"])
        self._batched = int(config.get("max_batch_size", 0)) > 0
        file = config.get("default_model_filename") or DEFAULT_FILE
        path = Path(args["model_repository"]) / args["model_version"] / file
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), session_options(config), providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise triton.TritonModelException(f"{path.name} cannot be opened: {error}") from error
        problem = disagreement(config, self._session)
        if problem is not None:
            raise triton.TritonModelException(problem)
        self._inputs = [entry["name"] for entry in config["input"]]
        self._outputs = [entry["name"] for entry in config["output"]]
        self._output_types = [triton.triton_string_to_numpy(entry["data_type"]) for entry in config["output"]]

    def execute(self, requests: Sequence[Request]) -> list[Response]:
        """Answer every request, each with its outputs or with its own error.

        Requests that fit together run as one batch. If that batch fails, each runs alone, so that one bad
        request spoils no other's answer and never ends the process.
        """
        tensors = [self._read(request) for request in requests]
        if self._batched and len(requests) > 1 and _fit_together(tensors):
            try:
                return self._run_together(tensors)
            except Exception as error:
                triton.Logger.log_warn(f"a batch of {len(requests)} failed, trying one by one: {error}")
        return [self._run_alone(inputs) for inputs in tensors]

    def finalize(self) -> None:
        """Let go of the model's memory."""
        del self._session

    def _read(self, request: Request) -> dict[str, Array]:
        return {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}

    def _run_alone(self, inputs: dict[str, Array]) -> Response:
        try:
            return self._response(self._session.run(self._outputs, inputs))
        except Exception as error:
            return triton.InferenceResponse(error=triton.TritonError(f"onnxruntime: {error}"))

    def _run_together(self, tensors: Sequence[dict[str, Array]]) -> list[Response]:
        """Run all requests as one batch and share out the answers by the number of rows each brought."""
        joined = {name: np.concatenate([inputs[name] for inputs in tensors]) for name in self._inputs}
        rows = [len(inputs[self._inputs[0]]) for inputs in tensors]
        outputs = self._session.run(self._outputs, joined)
        if any(len(output) != sum(rows) for output in outputs):
            raise ValueError("an output has not one row per input row")
        ends = np.cumsum(rows)[:-1]
        shares = zip(*(np.split(output, ends) for output in outputs), strict=True)
        return [self._response(share) for share in shares]

    def _response(self, outputs: Sequence[Array]) -> Response:
        return triton.InferenceResponse(
            [
                triton.Tensor(name, np.ascontiguousarray(output, dtype=kind))
                for name, output, kind in zip(self._outputs, outputs, self._output_types, strict=True)
            ]
        )


def session_options(config: dict[str, Any]) -> onnxruntime.SessionOptions:
    """ONNX Runtime's options from a model's configuration.

    Raises:
        triton.TritonModelException: a thread count is not a whole number.
    """
    parameters = config.get("parameters", {})

    def threads(name: str) -> int:
        text = parameters.get(name, {}).get("string_value", "1")
        if not text.isdigit():
            raise triton.TritonModelException(f"the parameter {name} is {text!r}, not a whole number")
        return int(text)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads("intra_op_thread_count")
    options.inter_op_num_threads = threads("inter_op_thread_count")
    # Spinning threads steal the core from whoever prepares the next batch: 52 ms a call on two cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def disagreement(config: dict[str, Any], session: onnxruntime.InferenceSession) -> str | None:
    """What the configuration says otherwise than the model file; None when they agree."""
    for kind, written, real in (
        ("input", config["input"], session.get_inputs()),
        ("output", config["output"], session.get_outputs()),
    ):
        types = {node.name: TRITON_TYPES.get(node.type, node.type) for node in real}
        for entry in written:
            name = entry["name"]
            if name not in types:
                return f"the model has no {kind} {name!r}; it has {', '.join(types)}"
            if types[name] != entry["data_type"]:
                said = entry["data_type"]
                return f"{kind} {name!r} is {types[name]} in the model and {said} in the configuration"
        if kind == "input" and len(written) != len(types):
            return f"the model has {len(types)} inputs and the configuration {len(written)}"
    return None


def _fit_together(tensors: Sequence[dict[str, Array]]) -> bool:
    """Whether all requests have inputs of the same shape but for the first dimension."""
    first = tensors[0]
    return all(inputs[name].shape[1:] == first[name].shape[1:] for inputs in tensors[1:] for name in first)
