"""What only a model server can do wrong, played by a gRPC server that speaks Triton's protocol and fails on cue.

Its methods carry the protocol's names.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from varanger.common.adapters.predictor_triton import TritonPredictor
from varanger.common.errors import DependencyDown, ModelFault
from varanger.common.ports.predictor import ModelFile, UInt8Images

IMAGES: UInt8Images = np.zeros((3, 32, 32, 3), np.uint8)


class ScriptedTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """One model; `faults` are raised by inference calls in turn, `None` being an answer."""

    def __init__(self) -> None:
        self.loaded = False
        self.calls: list[str] = []
        self.faults: list[tuple[grpc.StatusCode, str] | None] = []
        self.load_fault: tuple[grpc.StatusCode, str] | None = None
        self.unhealthy = False
        self.largest_batch = 8
        self.silent = False

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerLiveResponse(live=True)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=self.loaded)

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        config = model_config_pb2.ModelConfig(max_batch_size=self.largest_batch)
        return service_pb2.ModelConfigResponse(config=config)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("load")
        if self.load_fault:
            await context.abort(*self.load_fault)
        self.loaded, self.unhealthy = True, False
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("unload")
        self.loaded = False
        return service_pb2.RepositoryModelUnloadResponse()

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        count = request.inputs[0].shape[0]
        self.calls.append(f"infer {count}")
        if self.silent:
            await asyncio.sleep(60)
        if self.unhealthy:
            await context.abort(grpc.StatusCode.INTERNAL, "Stub process 'm_0_0' is not healthy.")
        if not self.loaded:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'm' is not found")
        fault = self.faults.pop(0) if self.faults else None
        if fault:
            await context.abort(*fault)
        answer = service_pb2.ModelInferResponse()
        for name, values in (
            ("boxes", np.zeros((count, 300, 6), np.float32)),
            ("scores", np.zeros((count, 2), np.float32)),
        ):
            answer.outputs.add(name=name, datatype="FP32", shape=values.shape)
            answer.raw_output_contents.append(values.tobytes())
        return answer


@pytest.fixture
async def triton() -> AsyncIterator[tuple[ScriptedTriton, str]]:
    server, servicer = grpc.aio.server(), ScriptedTriton()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer, f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def predictor(triton: tuple[ScriptedTriton, str], bundle: Any) -> AsyncIterator[TritonPredictor]:
    opened = TritonPredictor(triton[1], bundle.fetch, answer_within_s=2.0)
    yield opened
    await opened.close()


@pytest.fixture
def model(bundle: Any) -> ModelFile:
    added: ModelFile = bundle.add(b"any bytes")
    return added


async def test_a_killed_model_process_is_healed_once_for_all_callers(
    triton: tuple[ScriptedTriton, str], predictor: TritonPredictor, model: ModelFile
) -> None:
    await predictor.ensure_ready(model)
    triton[0].unhealthy = True
    outputs = await asyncio.gather(*(predictor.run(model, IMAGES) for _ in range(4)))
    assert [len(output.scores) for output in outputs] == [3] * 4
    assert triton[0].calls.count("unload") == 1
    assert triton[0].calls.count("load") == 2


async def test_a_restarted_server_gets_its_model_back(
    triton: tuple[ScriptedTriton, str], predictor: TritonPredictor, model: ModelFile
) -> None:
    await predictor.ensure_ready(model)
    triton[0].loaded = False
    assert len((await predictor.run(model, IMAGES)).scores) == 3
    assert triton[0].calls.count("load") == 2


async def test_a_model_that_stays_unhealthy_is_a_dependency_down(
    triton: tuple[ScriptedTriton, str], predictor: TritonPredictor, model: ModelFile
) -> None:
    fault = (grpc.StatusCode.INTERNAL, "Stub process 'm_0_0' is not healthy.")
    triton[0].faults = [fault, fault]
    with pytest.raises(DependencyDown, match="does not come back"):
        await predictor.run(model, IMAGES)


async def test_a_model_that_is_ready_already_is_not_loaded(
    triton: tuple[ScriptedTriton, str], predictor: TritonPredictor, model: ModelFile, bundle: Any
) -> None:
    triton[0].loaded = True
    await predictor.run(model, IMAGES)
    assert triton[0].calls == ["infer 3"]
    assert bundle.reads == []


async def test_the_servers_batch_size_is_kept(
    triton: tuple[ScriptedTriton, str], predictor: TritonPredictor, model: ModelFile
) -> None:
    triton[0].largest_batch = 2
    assert len((await predictor.run(model, IMAGES)).scores) == 3
    assert sorted(triton[0].calls) == ["infer 1", "infer 2", "load"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ((grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"), DependencyDown),
        ((grpc.StatusCode.UNAVAILABLE, "Request timeout expired"), DependencyDown),
        ((grpc.StatusCode.DEADLINE_EXCEEDED, "too late"), DependencyDown),
        ((grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape for input 'images'"), ModelFault),
        ((grpc.StatusCode.INTERNAL, "onnx runtime error 6: Non-zero status code"), ModelFault),
    ],
)
async def test_the_servers_words_are_told_by_kind(
    triton: tuple[ScriptedTriton, str],
    predictor: TritonPredictor,
    model: ModelFile,
    fault: tuple[grpc.StatusCode, str],
    kind: type[Exception],
) -> None:
    triton[0].faults = [fault]
    with pytest.raises(kind, match=fault[1]):
        await predictor.run(model, IMAGES)
    assert len((await predictor.run(model, IMAGES)).scores) == 3


async def test_a_model_the_server_cannot_load_is_the_models_fault(
    triton: tuple[ScriptedTriton, str], predictor: TritonPredictor, model: ModelFile
) -> None:
    triton[0].load_fault = (grpc.StatusCode.INVALID_ARGUMENT, "failed to load 'm'")
    with pytest.raises(ModelFault, match="failed to load"):
        await predictor.ensure_ready(model)


async def test_a_server_that_never_answers_is_down(
    triton: tuple[ScriptedTriton, str], bundle: Any, model: ModelFile
) -> None:
    predictor = TritonPredictor(triton[1], bundle.fetch, answer_within_s=0.2)
    await predictor.ensure_ready(model)
    triton[0].silent = True
    with pytest.raises(DependencyDown, match="DEADLINE_EXCEEDED"):
        await predictor.run(model, IMAGES)
    await predictor.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda predictor, model: predictor.ping(),
        lambda predictor, model: predictor.ensure_ready(model),
        lambda predictor, model: predictor.run(model, IMAGES),
        lambda predictor, model: predictor.unload(model),
    ],
)
async def test_no_server_is_a_dependency_down(
    ask: Callable[[TritonPredictor, ModelFile], Any], bundle: Any, model: ModelFile
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    predictor = TritonPredictor(f"127.0.0.1:{port}", bundle.fetch, answer_within_s=2.0)
    with pytest.raises(DependencyDown):
        await ask(predictor, model)
    await predictor.close()
