"""Adapters, chosen by URL and nothing else. Imports are local, so that a service installs only what it uses."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from varanger.common.ports.bus import Bus
from varanger.common.ports.objects import ObjectStore
from varanger.common.ports.predictor import Predictor
from varanger.common.retry import RETRY_DELAYS_S

FetchModel = Callable[[str], Awaitable[bytes]]
"""Reads a model file's bytes by its object key."""


def open_bus(url: str, *, retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S) -> Bus:
    """`memory://` or `amqp://user:password@host:port/vhost`. Call `start()` before use.

    Raises:
        ValueError: another scheme.
    """
    match urlsplit(url).scheme:
        case "memory":
            from varanger.common.adapters.bus_memory import MemoryBus

            return MemoryBus(retry_delays_s)
        case "amqp" | "amqps":
            from varanger.common.adapters.bus_amqp import AmqpBus

            return AmqpBus(url, retry_delays_s)
    raise ValueError(f"VARANGER_BUS_URL: {url!r} is neither memory:// nor amqp://")


def open_object_store(url: str) -> ObjectStore:
    """`file:///folder` (or `file://relative/folder`) or `s3://key:secret@host:port/bucket?secure=false`.

    Raises:
        ValueError: another scheme.
    """
    match urlsplit(url).scheme:
        case "file":
            from varanger.common.adapters.objects_file import FileObjectStore

            return FileObjectStore(Path(url.removeprefix("file://")))
        case "s3":
            from varanger.common.adapters.objects_s3 import S3ObjectStore

            return S3ObjectStore(url)
    raise ValueError(f"VARANGER_OBJECTS_URL: {url!r} is neither file:// nor s3://")


def open_predictor(url: str, fetch: FetchModel, *, threads: int = 1) -> Predictor:
    """`onnx://` in this process, `triton://host:port` (gRPC), or the stand-in model `fixed://?latency_ms=40`.

    Raises:
        ValueError: another scheme.
    """
    match urlsplit(url).scheme:
        case "onnx":
            from varanger.common.adapters.predictor_onnx import OnnxPredictor

            return OnnxPredictor(fetch, threads)
        case "triton":
            from varanger.common.adapters.predictor_triton import TritonPredictor

            return TritonPredictor(urlsplit(url).netloc, fetch)
        case "fixed":
            from varanger.common.adapters.predictor_fixed import FixedLatencyPredictor

            latency_ms = parse_qs(urlsplit(url).query).get("latency_ms", ["0"])[-1]
            return FixedLatencyPredictor(float(latency_ms) / 1000)
    raise ValueError(f"VARANGER_PREDICTOR_URL: {url!r} is neither onnx:// nor triton:// nor fixed://")
