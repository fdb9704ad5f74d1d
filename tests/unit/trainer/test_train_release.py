"""`train_release` hands out a bundle folder that is whole, or none."""

from pathlib import Path

import pytest

from varanger.common.releases import ReleaseManifest, StageModel, read_bundle, write_manifest
from varanger.trainer.adapters.prepared_training import PreparedTraining
from varanger.trainer.application.demonstration import demonstration_spec
from varanger.trainer.application.train import TrainingFailed, train_release
from varanger.trainer.domain.spec import TrainingSpec

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "prepared"
    (folder / "models").mkdir(parents=True)
    (folder / f"models/{EMPTY_SHA256}.onnx").write_bytes(b"")
    stage = StageModel(sha256=EMPTY_SHA256, bytes=0, classes=("fox",), input_size=64)
    manifest = ReleaseManifest(name="n", kind="two_stage", description="d", licence="MIT", stages={"global": stage})
    write_manifest(manifest, folder)
    return folder


@pytest.fixture
def spec(tmp_path: Path) -> TrainingSpec:
    return demonstration_spec(tmp_path, {"g": ("fox",)})


def test_the_bundle_moves_into_place(bundle: Path, spec: TrainingSpec, tmp_path: Path) -> None:
    said: list[str] = []
    target = tmp_path / "releases" / "mine"
    manifest = train_release(spec, target, lambda share, text: said.append(text), PreparedTraining(bundle))
    assert said == ["half way"]
    assert read_bundle(target).release_id == manifest.release_id
    assert [path.name for path in target.parent.iterdir()] == ["mine"]


def test_a_failed_run_leaves_nothing(spec: TrainingSpec, tmp_path: Path) -> None:
    target = tmp_path / "releases" / "mine"
    with pytest.raises(TrainingFailed):
        train_release(spec, target, lambda share, text: None, PreparedTraining(None))
    assert list(target.parent.iterdir()) == []


def test_a_folder_that_holds_something_is_refused(bundle: Path, spec: TrainingSpec) -> None:
    with pytest.raises(FileExistsError):
        train_release(spec, bundle, lambda share, text: None, PreparedTraining(bundle))


def test_a_releases_name_follows_its_manifest(bundle: Path) -> None:
    manifest = read_bundle(bundle)
    assert manifest.release_id == "f0f13331b69d246b34710ee73a7ecbd027998d9f47a360299f79d5102a38a0c8"
    assert ReleaseManifest.model_validate(manifest.model_dump()).release_id == manifest.release_id
    assert manifest.model_copy(update={"name": "other"}).release_id != manifest.release_id
