"""The shipped demonstration release answers alike in torch, in ONNX Runtime and in Triton (docs/decisions/0010)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import torch

from varanger.common.adapters import open_predictor
from varanger.common.ports.predictor import Floats, ModelFile, Predictor, UInt8Images
from varanger.common.releases import ReleaseManifest, StageModel, read_bundle
from varanger.fieldsim import SeasonPlan, draw_season
from varanger.trainer.training.bundle import load_weights
from varanger.trainer.training.contract_reference import ContractSettings, DetectorContract
from varanger.trainer.training.letterbox import letterbox, read_image

RELEASE = Path(__file__).resolve().parents[3] / "apps/varanger/src/varanger/app/demo_release"
TOLERANCE = 1e-3
#: Rows nearer than this to the candidate floor may fall on either side of it.
FLOOR_MARGIN = 1e-3


@pytest.fixture(scope="module")
def release() -> ReleaseManifest:
    return read_bundle(RELEASE)


@pytest.fixture(scope="module")
def images(release: ReleaseManifest, tmp_path_factory: pytest.TempPathFactory) -> UInt8Images:
    """Simulated images of sites the release never saw, and noise."""
    side = release.stages["global"].input_size
    plan = SeasonPlan(seed=977, sites=3, images=14, blank_share=0.2, people_share=0.2)
    season = draw_season(plan, tmp_path_factory.mktemp("season"))
    drawn = [letterbox(read_image(season.folder / media.path, side), side)[0] for media in season.media]
    noise = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    return np.concatenate([np.stack(drawn), noise])


async def fetch(key: str) -> bytes:
    return await asyncio.to_thread(Path(key).read_bytes)


@pytest.fixture(params=["onnx", "triton"])
async def predictor(request: pytest.FixtureRequest) -> AsyncIterator[Predictor]:
    url = "onnx://" if request.param == "onnx" else request.getfixturevalue("triton_url")
    opened = open_predictor(url, fetch)
    yield opened
    await opened.close()


def torch_answers(stage: StageModel, manifest: ReleaseManifest, images: UInt8Images) -> tuple[Floats, Floats]:
    """The release's own weights, through the contract's reference."""
    network, architecture = load_weights(RELEASE / f"weights/{stage.weights_sha256}.safetensors")
    assert architecture["nc"] == len(stage.classes)
    specification = manifest.lineage["specification"]
    settings = ContractSettings(stage.input_size, specification["nms_iou"], specification["candidate_floor"])
    boxes, scores = DetectorContract(network, settings)(torch.from_numpy(images))
    return boxes.numpy(), scores.numpy()


async def test_every_stage_answers_what_torch_answers(
    release: ReleaseManifest, images: UInt8Images, predictor: Predictor
) -> None:
    found_any = 0
    for stage in release.stages.values():
        model = ModelFile(stage.sha256, str(RELEASE / stage.path), stage.input_size, stage.classes)
        await predictor.ensure_ready(model)
        answer = await predictor.run(model, images)
        boxes, scores = torch_answers(stage, release, images)
        np.testing.assert_allclose(answer.scores, scores, atol=TOLERANCE)
        for mine, theirs in zip(answer.boxes, boxes, strict=True):
            floor = release.lineage["specification"]["candidate_floor"] + FLOOR_MARGIN
            assert_same_rows(mine, theirs, floor)
            assert_same_rows(theirs, mine, floor)
            found_any += int((theirs[:, 4] > 0.5).sum())
        await predictor.unload(model)
    assert found_any > len(images) / 2, "the images are meant to show something"


def assert_same_rows(mine: Floats, theirs: Floats, floor: float) -> None:
    """Every row of one side stands on the other: same class, corners and score within the tolerance.

    Rows are matched, not compared in order: two boxes whose scores differ by rounding may change places.
    """
    for row in mine[mine[:, 4] > floor]:
        same = theirs[theirs[:, 5] == row[5]]
        assert len(same), f"no box of class {row[5]:.0f}"
        distance = np.abs(same[:, :5] - row[:5]).max(axis=1)
        assert distance.min() <= TOLERANCE, f"nearest of class {row[5]:.0f} is {distance.min():.2g} away from {row}"


def test_the_release_is_small_plainly_described_and_licensed(release: ReleaseManifest) -> None:
    assert sum(path.stat().st_size for path in RELEASE.rglob("*") if path.is_file()) <= 20_000_000
    assert "not a wildlife model" in release.description
    assert release.licence.startswith("AGPL-3.0")
    assert release.metrics["test"]["two_stage"]["macro_f1"] >= 0.7
    assert set(release.groups) == {"large", "medium", "micro"}
    assert {"person", "vehicle"} <= set(release.stages["global"].classes)
    assert not {"person", "vehicle"} & set(release.routing.groups)


def test_experts_share_the_global_backbone_bit_for_bit(release: ReleaseManifest) -> None:
    from varanger.trainer.training.architecture import backbone_state

    def backbone(stage: StageModel) -> dict[str, torch.Tensor]:
        return backbone_state(load_weights(RELEASE / f"weights/{stage.weights_sha256}.safetensors")[0])

    shared = backbone(release.stages["global"])
    assert len(shared) > 100
    for stage in release.stages.values():
        own = backbone(stage)
        assert own.keys() == shared.keys()
        assert all(torch.equal(own[name], shared[name]) for name in shared)
