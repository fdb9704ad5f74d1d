"""The inference process on real RabbitMQ, S3 and Triton: killed in the middle, every request is still answered."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from varanger.common.adapters import open_bus, open_object_store, open_predictor
from varanger.common.ids import new_id
from varanger.common.messages import ClassificationRequested, Envelope, MediaClassified, MediaFailed
from varanger.common.ports.bus import Bus, Delivery
from varanger.common.ports.objects import ObjectStore
from varanger.common.ports.predictor import ModelFile
from varanger.common.releases import ReleaseManifest
from varanger.common.topology import RECORDER
from varanger.common.words import Lane, Prediction, Purpose

REQUESTS = 120
COLOURS = ("hare", "red_deer", "person", "blank", "faint_deer")
LABELS = {"hare": "rabbit", "red_deer": "red_deer", "person": "person", "blank": "blank", "faint_deer": "red_deer"}
PATIENCE_S = 120.0


class Answers:
    """What came back: every fact, per media."""

    def __init__(self) -> None:
        self.facts: dict[UUID, list[MediaClassified | MediaFailed]] = {}
        self.came = asyncio.Event()

    async def take(self, delivery: Delivery) -> None:
        fact = Envelope.from_body(delivery.body).payload
        assert isinstance(fact, MediaClassified | MediaFailed)
        self.facts.setdefault(fact.media_id, []).append(fact)
        await delivery.ack()
        self.came.set()

    async def until(self, count: int) -> None:
        """Wait until that many media have an answer."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.facts) < count:
                self.came.clear()
                await self.came.wait()


@pytest.fixture
async def bus(amqp_url: str) -> AsyncIterator[Bus]:
    opened = open_bus(amqp_url)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def objects(s3_url: str) -> AsyncIterator[ObjectStore]:
    opened = open_object_store(s3_url)
    yield opened
    await opened.close()


@pytest.fixture
async def release(
    tmp_path: Path, colours: Any, objects: ObjectStore, triton_url: str
) -> AsyncIterator[ReleaseManifest]:
    """In the object store; its models leave Triton with the test."""
    manifest: ReleaseManifest = colours.two_stage(tmp_path / "release")
    for name in ["manifest.json", *(stage.path for stage in manifest.stages.values())]:
        await objects.put(f"releases/{manifest.release_id}/{name}", tmp_path / "release" / name)
    yield manifest
    predictor = open_predictor(triton_url, objects.get)
    for stage in manifest.stages.values():
        await predictor.unload(ModelFile(stage.sha256, "", stage.input_size, stage.classes))
    await predictor.close()


@pytest.fixture
def start_process(
    amqp_url: str, s3_url: str, triton_url: str, tmp_path: Path
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts `varanger-inference` as a container would: by environment alone."""
    started: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "inference.log").open("wb")

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "varanger.inference.main"],
            env={
                **os.environ,
                "VARANGER_BUS_URL": amqp_url,
                "VARANGER_OBJECTS_URL": s3_url,
                "VARANGER_PREDICTOR_URL": triton_url,
                "VARANGER_BATCH": "4",
                "VARANGER_THREADS": "1",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
    log.close()


async def ask(bus: Bus, objects: ObjectStore, manifest: ReleaseManifest, colours: Any) -> dict[UUID, str]:
    """Send the requests, one in twelve for a view that is no image; the label each must get, or `failed`."""
    expected: dict[UUID, str] = {}
    envelopes = []
    for name in COLOURS:
        await objects.put(f"views/p/{name}.jpg", colours.jpeg(getattr(colours, name)))
    await objects.put("views/p/broken.jpg", b"no image")
    for number in range(REQUESTS):
        name = "broken" if number % 12 == 11 else COLOURS[number % len(COLOURS)]
        request = ClassificationRequested(
            media_id=new_id(),
            release_id=manifest.release_id,
            purpose=Purpose.INTAKE,
            key=f"media/p/d/{name}.jpg",
            view_key=f"views/p/{name}.jpg",
            sha256="0" * 64,
        )
        expected[request.media_id] = LABELS.get(name, "failed")
        lane = Lane.BULK if number % 2 else Lane.LIVE
        envelopes.append(Envelope.wrap(request, project_id="p", producer="recorder/test", lane=lane))
    await bus.publish(envelopes)
    return expected


async def test_killed_in_the_middle_every_request_is_answered_the_same(
    bus: Bus,
    objects: ObjectStore,
    release: ReleaseManifest,
    colours: Any,
    start_process: Callable[[], "subprocess.Popen[bytes]"],
) -> None:
    expected = await ask(bus, objects, release, colours)
    answers = Answers()
    subscriptions = [await bus.consume(queue.name, answers.take, prefetch=50) for queue in RECORDER]
    process = start_process()
    await answers.until(10)
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.wait)
    process = start_process()
    await answers.until(len(expected))
    process.terminate()
    assert await asyncio.to_thread(process.wait, 60) == 0, "it did not drain; see inference.log in the test's folder"
    for subscription in subscriptions:
        await subscription.cancel()
    assert set(answers.facts) == set(expected)
    for media_id, facts in answers.facts.items():
        told = {_told(fact) for fact in facts}
        assert {label for label, _ in told} == {expected[media_id]}
        assert len(told) == 1, "the same request was answered differently"


def _told(fact: MediaClassified | MediaFailed) -> tuple[str, str]:
    if isinstance(fact, MediaFailed):
        return "failed", fact.reason
    return fact.prediction.label, _without_noise(fact.prediction)


def _without_noise(prediction: Prediction) -> str:
    """Batches of another size differ in the last digits of a float."""
    return f"{prediction.route} {prediction.confidence:.3f} {prediction.observations} {prediction.flags}"
