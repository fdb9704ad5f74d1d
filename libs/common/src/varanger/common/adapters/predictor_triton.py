"""`triton://host:port`: NVIDIA Triton over gRPC, in EXPLICIT model control mode.

A model is loaded by its content-hashed name, its file sent along, so that workers need no share of a disk with the
server. Where the operator's repository already holds it loaded, it is used as configured there.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from varanger.common.adapters.predictor_contract import (
    BOXES,
    INPUT,
    MAX_BOXES,
    SCORES,
    check_images,
    check_output,
    joined,
    output_names,
    pieces,
    verify_bytes,
)
from varanger.common.errors import DependencyDown, ModelFault, ObjectMissing
from varanger.common.ports.predictor import ModelFile, StageOutput, UInt8Images

LARGEST_BATCH = 8
"""Of models we load ourselves; the server may merge calls up to this."""
LONGEST_QUEUE = 256
"""Waiting calls beyond which the server refuses, and workers pause."""
ANSWER_WITHIN_S = 30.0
LOAD_WITHIN_S = 300.0
"""A TensorRT-optimised model may take minutes to load."""

_LARGEST_MESSAGE = 2**31 - 1
_CHANNEL = [
    ("grpc.max_send_message_length", _LARGEST_MESSAGE),
    ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
    # gRPC's own back-off after a lost server grows to two minutes; the retry policy is ours to decide.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]
_DOWN = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED"})
_UNHEALTHY = "is not healthy"
"""Of a Python-based backend whose process was killed: the model still says ready; only unload and load heal it."""


def model_config(model: ModelFile) -> dict[str, Any]:
    """The `config.pbtxt` of a model file, as the JSON that Triton's load call takes."""
    side = model.input_size
    shapes = {BOXES: [MAX_BOXES, 6], SCORES: [len(model.classes)]}
    return {
        "name": model.name,
        "backend": "onnxruntime",
        "default_model_filename": "model.onnx",
        "max_batch_size": LARGEST_BATCH,
        "input": [{"name": INPUT, "data_type": "TYPE_UINT8", "dims": [side, side, 3]}],
        "output": [{"name": name, "data_type": "TYPE_FP32", "dims": shapes[name]} for name in output_names(model)],
        "dynamic_batching": {
            "default_queue_policy": {
                "max_queue_size": LONGEST_QUEUE,
                "default_timeout_microseconds": int(ANSWER_WITHIN_S * 1e6),
            }
        },
    }


@dataclass(frozen=True, eq=False)
class _Ready:
    """A model known to be ready; compared by identity, so that of many failing calls one brings it back."""

    batch_size: int


class TritonPredictor:
    """Loads on demand, heals a model whose process died, and forgets what a restarted server has forgotten."""

    def __init__(
        self,
        address: str,
        fetch: Callable[[str], Awaitable[bytes]],
        *,
        answer_within_s: float = ANSWER_WITHIN_S,
        load_within_s: float = LOAD_WITHIN_S,
    ) -> None:
        self._address = address
        self._fetch = fetch
        self._answer_within_s = answer_within_s
        self._load_within_s = load_within_s
        self._opened: triton.InferenceServerClient | None = None
        self._ready: dict[str, _Ready] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def _client(self) -> triton.InferenceServerClient:
        # Made on first use: a gRPC channel belongs to the loop it was made in.
        if self._opened is None:
            self._opened = triton.InferenceServerClient(self._address, channel_args=_CHANNEL)
        return self._opened

    async def ensure_ready(self, model: ModelFile) -> None:
        """See `Predictor.ensure_ready`."""
        if model.name in self._ready:
            return
        async with self._lock(model):
            if model.name not in self._ready:
                self._ready[model.name] = await self._make_ready(model)

    async def run(self, model: ModelFile, images: UInt8Images) -> StageOutput:
        """See `Predictor.run`; a model the server lost is loaded again, one whose process died is healed, once."""
        check_images(model, images)
        await self.ensure_ready(model)
        ready = self._ready.get(model.name, _Ready(LARGEST_BATCH))
        try:
            return await self._run_in_pieces(model, images, ready.batch_size)
        except InferenceServerException as error:
            if not (_is_unhealthy(error) or _is_gone(error)):
                raise self._told(model, error) from error
            await self._bring_back(model, ready, heal=_is_unhealthy(error))
        try:
            return await self._run_in_pieces(model, images, ready.batch_size)
        except InferenceServerException as error:
            if _is_unhealthy(error) or _is_gone(error):
                raise DependencyDown(f"{self._address}: {model.name} does not come back: {error.message()}") from error
            raise self._told(model, error) from error

    async def unload(self, model: ModelFile) -> None:
        """See `Predictor.unload`."""
        self._ready.pop(model.name, None)
        try:
            await self._client.unload_model(model.name, client_timeout=self._load_within_s)
        except InferenceServerException as error:
            if not _is_gone(error):
                raise self._told(model, error) from error

    async def ping(self) -> None:
        """See `Predictor.ping`."""
        try:
            # Live, not ready: Triton calls itself unready for good once any model, of anybody, has failed to load.
            live = await self._client.is_server_live(client_timeout=self._answer_within_s)
        except InferenceServerException as error:
            raise DependencyDown(f"{self._address}: {error.message()}") from error
        if not live:
            raise DependencyDown(f"{self._address}: Triton is not live")

    async def close(self) -> None:
        """Close the channel; the server keeps its models for other workers."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def _run_in_pieces(self, model: ModelFile, images: UInt8Images, at_most: int) -> StageOutput:
        # All at once: the server's instances work side by side.
        answers = await asyncio.gather(
            *(self._infer(model, piece) for piece in pieces(images, at_most)), return_exceptions=True
        )
        outputs = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            outputs.append(answer)
        return joined(outputs)

    async def _infer(self, model: ModelFile, images: UInt8Images) -> StageOutput:
        given = InferInput(INPUT, list(images.shape), "UINT8")
        # Copies the batch into bytes: megabytes, so not on the loop.
        await asyncio.to_thread(given.set_data_from_numpy, np.ascontiguousarray(images))
        asked = [InferRequestedOutput(name) for name in output_names(model)]
        result = await self._client.infer(model.name, [given], outputs=asked, client_timeout=self._answer_within_s)
        boxes: NDArray[Any] | None = result.as_numpy(BOXES) if model.detector else None
        if model.detector and boxes is None:
            raise ModelFault(f"{model.name} answers no {BOXES!r}")
        return check_output(model, len(images), boxes, result.as_numpy(SCORES))

    async def _bring_back(self, model: ModelFile, lost: "_Ready", *, heal: bool) -> None:
        async with self._lock(model):
            if self._ready.get(model.name) not in (lost, None):
                return  # another call has brought it back meanwhile
            self._ready.pop(model.name, None)
            if heal:
                await self.unload(model)
            self._ready[model.name] = await self._make_ready(model, load=heal)

    async def _make_ready(self, model: ModelFile, *, load: bool = False) -> "_Ready":
        if load or not await self._is_ready(model):
            await self._load(model)
        return _Ready(await self._read_batch_size(model))

    def _lock(self, model: ModelFile) -> asyncio.Lock:
        return self._locks.setdefault(model.name, asyncio.Lock())

    async def _is_ready(self, model: ModelFile) -> bool:
        try:
            return bool(await self._client.is_model_ready(model.name, client_timeout=self._answer_within_s))
        except InferenceServerException as error:
            if _is_gone(error):
                return False
            raise self._told(model, error) from error

    async def _load(self, model: ModelFile) -> None:
        try:
            data = await self._fetch(model.object_key)
        except (ObjectMissing, FileNotFoundError) as error:
            raise ModelFault(f"{model.object_key}: the release's model file is not there") from error
        await asyncio.to_thread(verify_bytes, model, data)
        try:
            await self._client.load_model(
                model.name,
                config=json.dumps(model_config(model)),
                files={"file:1/model.onnx": data},
                client_timeout=self._load_within_s,
            )
        except InferenceServerException as error:
            raise self._told(model, error) from error

    async def _read_batch_size(self, model: ModelFile) -> int:
        try:
            answer = await self._client.get_model_config(model.name, client_timeout=self._answer_within_s)
        except InferenceServerException as error:
            raise self._told(model, error) from error
        size = int(answer.config.max_batch_size)
        if size < 1:
            raise ModelFault(f"{model.name}: the server's config takes no batches; set max_batch_size")
        return size

    def _told(self, model: ModelFile, error: InferenceServerException) -> DependencyDown | ModelFault:
        if _status(error) in _DOWN or _is_gone(error):
            return DependencyDown(f"{self._address}: {_status(error)}: {error.message()}")
        return ModelFault(f"{model.name}: Triton says {_status(error)}: {error.message()}")


def _status(error: InferenceServerException) -> str:
    return str(error.status() or "").removeprefix("StatusCode.")


def _is_unhealthy(error: InferenceServerException) -> bool:
    return _UNHEALTHY in (error.message() or "")


def _is_gone(error: InferenceServerException) -> bool:
    return _status(error) == "NOT_FOUND" or "unknown model" in (error.message() or "")
