"""The handler end to end: requests in, facts out, over a store in memory and models in this process."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from varanger.common.adapters.objects_memory import MemoryObjectStore
from varanger.common.adapters.predictor_fixed import FixedLatencyPredictor
from varanger.common.adapters.predictor_onnx import OnnxPredictor
from varanger.common.errors import BadMessage, DependencyDown, ModelFault, ObjectMissing, StoreFault
from varanger.common.ids import new_id
from varanger.common.messages import (
    ClassificationRequested,
    Envelope,
    MediaClassified,
    MediaFailed,
    ReleasePromoted,
)
from varanger.common.releases import ReleaseManifest, parse_manifest
from varanger.common.settings import Settings
from varanger.common.words import Lane, Purpose
from varanger.inference.application.classify import ClassifyMedia
from varanger.inference.main import build_inference

SHA = "0" * 64


class Bench:
    """A worker's surroundings."""

    def __init__(self, folder: Path, manifest: ReleaseManifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.objects = MemoryObjectStore()
        self.predictor = OnnxPredictor(self.objects.get)
        self.pool = ThreadPoolExecutor(2)
        self.handler = ClassifyMedia(
            self.objects, self.predictor, pool=self.pool, producer="inference/test", max_pixels=10_000_000
        )

    async def publish(self, folder: Path, release_id: str) -> None:
        for name in ["manifest.json", *(stage.path for stage in read_manifest(folder).stages.values())]:
            await self.objects.put(f"releases/{release_id}/{name}", folder / name)

    async def request(self, name: str, view: bytes | None, **changes: Any) -> Envelope:
        if view is not None:
            await self.objects.put(f"views/p/{name}.jpg", view)
        request = ClassificationRequested(
            **{
                "media_id": new_id(),
                "release_id": self.manifest.release_id,
                "purpose": Purpose.INTAKE,
                "key": f"media/p/d/{name}.jpg",
                "view_key": f"views/p/{name}.jpg",
                "sha256": SHA,
                **changes,
            }
        )
        return Envelope.wrap(request, project_id="p", producer="recorder/test", lane=Lane.BULK, job_id=new_id())

    async def close(self) -> None:
        await self.predictor.close()
        self.pool.shutdown()


@pytest.fixture
async def bench(tmp_path: Path, colours: Any) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "release", colours.two_stage(tmp_path / "release"))
    await made.publish(made.folder, made.manifest.release_id)
    yield made
    await made.close()


def read_manifest(folder: Path) -> ReleaseManifest:
    return parse_manifest((folder / "manifest.json").read_bytes())


def answered(envelope: Envelope) -> MediaClassified:
    assert isinstance(envelope.payload, MediaClassified)
    return envelope.payload


async def test_a_batch_is_answered_in_order(bench: Bench, colours: Any) -> None:
    names = ["hare", "blank", "person", "faint_deer", "red_deer"]
    batch = [await bench.request(name, colours.jpeg(getattr(colours, name))) for name in names]
    facts = [answered(envelope) for envelope in await bench.handler(batch)]
    assert [fact.prediction.label for fact in facts] == ["rabbit", "blank", "person", "red_deer", "red_deer"]
    assert [fact.prediction.route for fact in facts] == [
        "global>expert:small",
        "global>all_experts",
        "global",
        "global>all_experts",
        "global>expert:large",
    ]
    assert [fact.prediction.private for fact in facts] == [False, False, True, False, False]
    assert [fact.media_id for fact in facts] == [one.payload.model_dump()["media_id"] for one in batch]
    hare = facts[0].prediction
    assert hare.confidence == pytest.approx(0.9, abs=0.02)
    assert [box.bbox for box in hare.detections] == [(0.25, 0.25, 0.5, 0.5)] * 2
    assert set(hare.scores) == set(hare.models) == {"global", "expert:small"}
    assert hare.models["global"] == bench.manifest.stages["global"].sha256
    assert (hare.code_version, hare.image_seen) == ("inference/test", "view")
    assert facts[1].prediction.confidence > 0.9


async def test_the_envelope_follows_from_the_request(bench: Bench, colours: Any) -> None:
    request = await bench.request("hare", colours.jpeg(colours.hare), purpose=Purpose.SHADOW, frame_number=3)
    (envelope,) = await bench.handler([request])
    assert (envelope.project_id, envelope.lane, envelope.job_id) == ("p", Lane.BULK, request.job_id)
    assert envelope.producer == "inference/test"
    fact = answered(envelope)
    assert (fact.purpose, fact.frame_number) == (Purpose.SHADOW, 3)


async def test_the_same_request_gives_the_same_answer(bench: Bench, colours: Any) -> None:
    request = await bench.request("hare", colours.jpeg(colours.hare))
    first, again = await bench.handler([request, request])
    assert answered(first).prediction == answered(again).prediction


async def test_a_broken_view_fails_alone(bench: Bench, colours: Any) -> None:
    batch = [
        await bench.request("broken", b"no image"),
        await bench.request("hare", colours.jpeg(colours.hare)),
    ]
    failed, fine = await bench.handler(batch)
    assert isinstance(failed.payload, MediaFailed)
    assert failed.payload.reason.startswith("undecodable: ")
    assert answered(fine).prediction.label == "rabbit"
    (alone,) = await bench.handler(batch[:1])
    assert isinstance(alone.payload, MediaFailed)


async def test_boxes_are_shares_of_the_image_not_of_the_square(bench: Bench, colours: Any) -> None:
    wide = await bench.request("wide", colours.jpeg(colours.hare, (128, 64)))
    (envelope,) = await bench.handler([wide])
    assert answered(envelope).prediction.detections[0].bbox == (0.25, 0.0, 0.5, 1.0)


async def test_a_missing_view_is_raised(bench: Bench) -> None:
    with pytest.raises(ObjectMissing):
        await bench.handler([await bench.request("missing", None)])


async def test_an_unknown_release_is_raised(bench: Bench, colours: Any) -> None:
    with pytest.raises(ObjectMissing, match="releases/"):
        await bench.handler([await bench.request("hare", colours.jpeg(colours.hare), release_id="f" * 64)])


async def test_a_manifest_that_is_not_the_named_one_is_a_fault_of_the_store(bench: Bench, colours: Any) -> None:
    await bench.publish(bench.folder, "e" * 64)
    with pytest.raises(StoreFault):
        await bench.handler([await bench.request("hare", colours.jpeg(colours.hare), release_id="e" * 64)])


async def test_a_model_file_that_is_not_the_named_one_is_raised(bench: Bench, colours: Any) -> None:
    model = bench.manifest.stages["global"]
    await bench.objects.put(f"releases/{bench.manifest.release_id}/{model.path}", b"other bytes")
    with pytest.raises(ModelFault):
        await bench.handler([await bench.request("hare", colours.jpeg(colours.hare))])


async def test_another_message_is_a_bad_one(bench: Bench) -> None:
    other = Envelope.wrap(ReleasePromoted(release_id=SHA), project_id="p", producer="api/test")
    with pytest.raises(BadMessage, match="promoted"):
        await bench.handler([other])


async def test_what_is_down_is_told_before_what_is_missing(bench: Bench, colours: Any) -> None:
    class HalfDown(MemoryObjectStore):
        async def get(self, key: str) -> bytes:
            if "down" in key:
                await asyncio.sleep(0)
                raise DependencyDown(key)
            return await bench.objects.get(key)

    handler = ClassifyMedia(
        HalfDown(), bench.predictor, pool=bench.pool, producer="inference/test", max_pixels=10_000_000
    )
    with pytest.raises(DependencyDown):
        await handler([await bench.request("missing", None), await bench.request("down", None)])


async def test_two_releases_in_one_batch(bench: Bench, colours: Any, tmp_path: Path) -> None:
    classifier = colours.classifier(tmp_path / "classifier")
    await bench.publish(tmp_path / "classifier", classifier.release_id)
    red = colours.jpeg(colours.hare)
    batch = [
        await bench.request("red", red, release_id=classifier.release_id),
        await bench.request("red", red),
        await bench.request("green", colours.jpeg(colours.red_deer), release_id=classifier.release_id),
        await bench.request("blue", colours.jpeg(colours.person), release_id=classifier.release_id),
    ]
    predictions = [answered(envelope).prediction for envelope in await bench.handler(batch)]
    assert [one.label for one in predictions] == ["lemming", "rabbit", "blank", "bad_quality"]
    assert [one.route for one in predictions] == ["classifier", "global>expert:small", "classifier", "classifier"]
    assert [len(one.observations) for one in predictions] == [1, 1, 0, 0]
    assert set(predictions[0].scores["classifier"]) == {"lemming", "empty", "bad_quality"}


async def test_a_frame_of_a_video_is_seen_in_its_view_whatever_the_release_asks_for(
    tmp_path: Path, colours: Any
) -> None:
    bench = Bench(tmp_path / "release", colours.two_stage(tmp_path / "release", image="original"))
    await bench.publish(bench.folder, bench.manifest.release_id)
    request = await bench.request("clip.frames/000030", colours.jpeg(colours.hare), frame_number=30)
    (envelope,) = await bench.handler([request])
    fact = answered(envelope)
    assert (fact.frame_number, fact.prediction.label, fact.prediction.image_seen) == (30, "rabbit", "view")
    await bench.close()


async def test_a_release_may_ask_for_the_original(tmp_path: Path, colours: Any) -> None:
    bench = Bench(tmp_path / "release", colours.two_stage(tmp_path / "release", image="original"))
    await bench.publish(bench.folder, bench.manifest.release_id)
    original = colours.jpeg(colours.hare)
    request = await bench.request("hare", None, sha256=hashlib.sha256(original).hexdigest())
    await bench.objects.put("media/p/d/hare.jpg", original)
    (envelope,) = await bench.handler([request])
    assert answered(envelope).prediction.image_seen == "original"
    await bench.objects.put("media/p/d/hare.jpg", original + b"\0")
    with pytest.raises(StoreFault):
        await bench.handler([request])
    await bench.close()


async def test_experts_are_asked_once_and_only_about_what_needs_them(bench: Bench, colours: Any) -> None:
    predictor = FixedLatencyPredictor()
    with ExitStack() as resources:
        handler = build_inference(Settings(), bench.objects, predictor, resources)
        batch = [await bench.request(f"i{n}", colours.jpeg((n, 2 * n, 255 - n))) for n in range(40)]
        facts = [answered(envelope).prediction for envelope in await handler(batch)]
    by_name = {f"m_{stage.sha256[:24]}": name for name, stage in bench.manifest.stages.items()}
    calls = {by_name[name]: count for name, count in predictor.calls}
    assert len(predictor.calls) == 3
    assert calls["global"] == 40
    for stage in ("expert:small", "expert:large"):
        assert calls[stage] == sum(stage in fact.scores for fact in facts) < 40
