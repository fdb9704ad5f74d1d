"""`onnx://`: ONNX Runtime in this process, on its own threads."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import onnxruntime

from varanger.common.adapters.predictor_contract import (
    INPUT,
    check_images,
    check_output,
    joined,
    output_names,
    pieces,
    verify_bytes,
)
from varanger.common.errors import DependencyDown, ModelFault, ObjectMissing
from varanger.common.ports.predictor import ModelFile, StageOutput, UInt8Images
from varanger.common.words import Sha256

LARGEST_BATCH = 32
"""Images per call into ONNX Runtime: beyond this a CPU gains nothing and memory grows."""


class OnnxPredictor:
    """Sessions by sha256. One call runs at a time, over `threads` threads; loading has a thread of its own."""

    def __init__(self, fetch: Callable[[str], Awaitable[bytes]], threads: int = 1) -> None:
        self._fetch = fetch
        self._threads = threads
        self._sessions: dict[Sha256, onnxruntime.InferenceSession] = {}
        self._loading: dict[Sha256, asyncio.Task[None]] = {}
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="onnx-run")
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="onnx-load")

    async def ensure_ready(self, model: ModelFile) -> None:
        """See `Predictor.ensure_ready`."""
        if model.sha256 in self._sessions:
            return
        loading = self._loading.get(model.sha256)
        if loading is None:
            loading = asyncio.create_task(self._load(model), name=f"load {model.name}")
            self._loading[model.sha256] = loading
            loading.add_done_callback(functools.partial(self._end_loading, model.sha256))
        # Shielded: one caller's cancellation must not take the model from the others who wait for it.
        await asyncio.shield(loading)

    async def run(self, model: ModelFile, images: UInt8Images) -> StageOutput:
        """See `Predictor.run`; loads the model first where that was not done."""
        check_images(model, images)
        await self.ensure_ready(model)
        session = self._sessions.get(model.sha256)
        if session is None:
            raise DependencyDown(f"{model.name} was unloaded while it was asked for")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._runner, _run, session, model, images)

    async def unload(self, model: ModelFile) -> None:
        """See `Predictor.unload`; calls under way keep the session until they are done."""
        self._sessions.pop(model.sha256, None)

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Let sessions and threads go; waits for the call under way."""
        for loading in list(self._loading.values()):
            loading.cancel()
        self._sessions.clear()
        for pool in (self._runner, self._loader):
            await asyncio.to_thread(pool.shutdown, True, cancel_futures=True)

    def _end_loading(self, sha256: Sha256, loading: asyncio.Task[None]) -> None:
        self._loading.pop(sha256, None)
        if not loading.cancelled():
            loading.exception()  # looked at here, since every caller may have been cancelled meanwhile

    async def _load(self, model: ModelFile) -> None:
        try:
            data = await self._fetch(model.object_key)
        except (ObjectMissing, FileNotFoundError) as error:
            raise ModelFault(f"{model.object_key}: the release's model file is not there") from error
        loop = asyncio.get_running_loop()
        self._sessions[model.sha256] = await loop.run_in_executor(self._loader, _open, model, data, self._threads)


def _open(model: ModelFile, data: bytes, threads: int) -> onnxruntime.InferenceSession:
    verify_bytes(model, data)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin while they wait steal the cores from decoding (measured: +52 ms a call on two cores).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many types of its own, all meaning the same
        raise ModelFault(f"{model.name} cannot be loaded: {error}") from error
    inputs = {one.name: one.type for one in session.get_inputs()}
    if inputs != {INPUT: "tensor(uint8)"}:
        raise ModelFault(f"{model.name}: inputs are {inputs}, the model contract asks for uint8 {INPUT!r} alone")
    missing = set(output_names(model)) - {one.name for one in session.get_outputs()}
    if missing:
        raise ModelFault(f"{model.name} has no output {sorted(missing)}")
    return session


def _run(session: onnxruntime.InferenceSession, model: ModelFile, images: UInt8Images) -> StageOutput:
    outputs = []
    for piece in pieces(images, LARGEST_BATCH):
        try:
            answers = session.run(output_names(model), {INPUT: piece})
        except Exception as error:  # as above
            raise ModelFault(f"{model.name} failed on {len(piece)} images: {error}") from error
        boxes, scores = answers if model.detector else (None, answers[0])
        outputs.append(check_output(model, len(piece), boxes, scores))
    return joined(outputs)
