"""A training run from specification to bundle; reads as a table of contents of what it does."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from varanger.common.releases import GLOBAL, ReleaseManifest, RoutingRule, StageModel, expert_stage
from varanger.trainer.adapters.datasets import read_dataset
from varanger.trainer.domain.dataset import LabelledImage, classes_of, dataset_sha256
from varanger.trainer.domain.groups import boxes_for_expert, check_groups, class_order, images_for_expert
from varanger.trainer.domain.spec import TrainingSpec
from varanger.trainer.domain.splits import Split, split_dataset
from varanger.trainer.training.architecture import build_detector, detector_architecture, expert_from_global
from varanger.trainer.training.bundle import TrainedStage, write_release, write_stage
from varanger.trainer.training.contract_reference import ContractSettings
from varanger.trainer.training.evaluate import (
    StageAnswers,
    Thresholds,
    choose_thresholds,
    measure_boxes,
    measure_release,
)
from varanger.trainer.training.export import export_detector
from varanger.trainer.training.fit import FitResult, FitSettings, fit_detector
from varanger.trainer.training.measure import Answers, ask
from varanger.trainer.training.staging import StagedImages, stage_images, write_model_dataset

OnProgress = Callable[[float, str], None]
_GLOBAL_SHARE_OF_TIME = 2 / 3


class TrainingRun:
    """One specification being followed.

    Args:
        spec: what to train.
        folder: the bundle's; made where it is missing. A ``work`` folder beside the models is removed at the end.
        progress: told the share done (0-1) and a line of text.
    """

    def __init__(self, spec: TrainingSpec, folder: Path, progress: OnProgress) -> None:
        self.spec, self.folder, self.progress = spec, folder, progress
        self.work = folder / "work"
        self.settings = ContractSettings(spec.input_size, spec.nms_iou, spec.candidate_floor)
        self.epochs_done: dict[str, int] = {}

    def run(self) -> str:
        """Train, measure, write; returns the release id.

        Raises:
            DatasetInvalid, GroupsInvalid, ValueError: the specification does not fit the dataset.
        """
        started = time.monotonic()
        torch.set_num_threads(self.spec.threads)
        self.progress(0.0, "reading the dataset")
        dataset = read_dataset(self.spec.dataset)
        staged = stage_images(dataset, self.work / "staged", self.spec.input_size)
        images = staged.whole(dataset)
        classes = classes_of(images)
        check_groups(self.spec.groups, classes, self.spec.never_routed)
        rule = self.spec.split
        split = split_dataset(images, by=rule.by, validation=rule.validation, test=rule.test, seed=rule.seed)

        stages = self._train_all(split, class_order(self.spec.groups, classes), staged)
        self.progress(0.9, "measuring on the validation and test sides")
        calibrated, thresholds, metrics = self._measure(stages, split, staged)
        models = {stage.stage: write_stage(stage, self.folder, self.spec.input_size) for stage in calibrated}
        lineage = self._lineage(images, len(staged.damaged), split, time.monotonic() - started)
        release_id = write_release(self._manifest(models, thresholds, metrics, lineage), self.folder)
        shutil.rmtree(self.work)
        self.progress(1.0, f"release {release_id}")
        return release_id

    def _train_all(self, split: Split, classes: tuple[str, ...], staged: StagedImages) -> list[TrainedStage]:
        trained = self._train_global(split, classes, staged)
        stages = [self._stage(GLOBAL, classes, trained)]
        state = trained.network.state_dict()
        for group, species in self.spec.groups.items():
            architecture = detector_architecture(self.spec.preset, len(species))
            start = expert_from_global(architecture, state, [classes.index(name) for name in species])
            expert = self._train_expert(group, start, split, staged)
            stages.append(self._stage(expert_stage(group), species, expert))
        return stages

    def _stage(self, name: str, classes: tuple[str, ...], trained: FitResult) -> TrainedStage:
        self.epochs_done[name] = trained.epochs
        model = export_detector(trained.network, self.settings)
        architecture = detector_architecture(self.spec.preset, len(classes))
        return TrainedStage(name, classes, model, trained.network, architecture, temperature=1.0)

    def _train_global(self, split: Split, classes: tuple[str, ...], staged: StagedImages) -> FitResult:
        torch.manual_seed(self.spec.seed)
        network = build_detector(detector_architecture(self.spec.preset, len(classes)))
        folder = self.work / "global"
        sides = {
            "train": [(image, image.boxes) for image in split.train if not image.unboxed],
            "val": [(image, image.boxes) for image in split.validation if not image.unboxed][:1],
        }
        dataset = write_model_dataset(folder, staged, classes, sides)
        effort = self.spec.effort
        minutes = effort.minutes and effort.minutes * _GLOBAL_SHARE_OF_TIME
        settings = self._fit(effort.global_epochs, minutes, effort.learning_rate, freeze=False)
        return fit_detector(network, dataset, folder, settings, self._epochs_between(0.02, 0.6, GLOBAL))

    def _train_expert(self, group: str, network: nn.Module, split: Split, staged: StagedImages) -> FitResult:
        species, effort = self.spec.groups[group], self.spec.effort
        count, index = len(self.spec.groups), list(self.spec.groups).index(group)
        folder = self.work / f"expert_{index}"
        boxed = [image for image in split.train if not image.unboxed]
        chosen = images_for_expert(boxed, species, effort.background_per_image)
        own = [image for image in split.validation if not image.unboxed]
        sides = {
            "train": [(image, boxes_for_expert(image, species)) for image in chosen],
            "val": [(image, boxes_for_expert(image, species)) for image in own[:1]],
        }
        dataset = write_model_dataset(folder, staged, species, sides)
        minutes = effort.minutes and effort.minutes * (1 - _GLOBAL_SHARE_OF_TIME) / count
        settings = self._fit(effort.expert_epochs, minutes, effort.expert_learning_rate, freeze=True)
        begin, end = 0.6 + 0.3 * index / count, 0.6 + 0.3 * (index + 1) / count
        return fit_detector(network, dataset, folder, settings, self._epochs_between(begin, end, expert_stage(group)))

    def _fit(self, epochs: int, minutes: float | None, learning_rate: float, *, freeze: bool) -> FitSettings:
        return FitSettings(
            epochs=epochs,
            minutes=minutes,
            side=self.spec.input_size,
            batch=self.spec.effort.batch,
            learning_rate=learning_rate,
            freeze_backbone=freeze,
            seed=self.spec.seed,
            device=self.spec.device,
        )

    def _epochs_between(self, begin: float, end: float, stage: str) -> Callable[[int, int, float], None]:
        def on_epoch(epoch: int, epochs: int, loss: float) -> None:
            share = begin + (end - begin) * min(1.0, epoch / max(1, epochs))
            self.progress(share, f"{stage}: epoch {epoch} of {epochs}, loss {loss:.3f}")

        return on_epoch

    def _measure(
        self, stages: list[TrainedStage], split: Split, staged: StagedImages
    ) -> tuple[list[TrainedStage], Thresholds, dict[str, Any]]:
        """Calibrate and choose thresholds on the validation side, then measure on the test side."""
        calibrated: list[TrainedStage] = []
        validation: dict[str, Answers] = {}
        truth = [image.labels for image in split.validation]
        for stage in stages:
            answers = ask(stage.stage, stage.model, stage.classes, split.validation, staged)
            validation[stage.stage] = answers
            calibrated.append(
                TrainedStage(
                    stage.stage,
                    stage.classes,
                    stage.model,
                    stage.network,
                    stage.architecture,
                    round(answers.temperature(truth), 4),
                )
            )
        thresholds = choose_thresholds(self._answers(calibrated, validation, split.validation))
        test = {stage.stage: ask(stage.stage, stage.model, stage.classes, split.test, staged) for stage in stages}
        metrics = {
            "test": measure_release(self._answers(calibrated, test, split.test), thresholds),
            "test_ap50": {name: measure_boxes(answers, split.test) for name, answers in test.items()},
            "divided_by": self.spec.split.by,
        }
        return calibrated, thresholds, metrics

    def _answers(
        self, stages: list[TrainedStage], answers: dict[str, Answers], images: tuple[LabelledImage, ...]
    ) -> StageAnswers:
        by_stage = {stage.stage: answers[stage.stage].calibrated(stage.temperature) for stage in stages}
        return StageAnswers(images, by_stage, self._species_to_group(), self.spec.expected_blank_share)

    def _species_to_group(self) -> dict[str, str]:
        return {species: group for group, members in self.spec.groups.items() for species in members}

    def _manifest(
        self, models: dict[str, StageModel], thresholds: Thresholds, metrics: dict[str, Any], lineage: dict[str, Any]
    ) -> ReleaseManifest:
        background = thresholds.background_threshold
        return ReleaseManifest(
            name=self.spec.name,
            kind="two_stage",
            description=self.spec.description,
            licence=self.spec.licence,
            stages=models,
            routing=RoutingRule(
                groups=self._species_to_group(),
                detection_floor=thresholds.detection_floor,
                background_threshold=background if background != thresholds.detection_floor else None,
            ),
            lineage=lineage,
            metrics=metrics,
        )

    def _lineage(self, images: list[LabelledImage], damaged: int, split: Split, seconds: float) -> dict[str, Any]:
        spec = self.spec.model_dump(mode="json", exclude={"description", "lineage", "dataset"})
        return {
            **self.spec.lineage,
            "parent": None,
            "dataset": {
                "format": self.spec.dataset.format,
                "sha256": dataset_sha256(images),
                "images": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
                "left_out": {"damaged": damaged},
            },
            "specification": spec,
            "epochs": self.epochs_done,
            "experts": "from the global weights, backbone frozen, other groups' animals as background",
            "code": {
                "varanger-trainer": _version("varanger-trainer"),
                "python": platform.python_version(),
                "torch": version("torch"),
                "ultralytics": version("ultralytics"),
                "onnx": version("onnx"),
            },
            "seconds": round(seconds),
        }


def _version(distribution: str) -> str:
    """A distribution's version; a source tree on the path has none."""
    try:
        return version(distribution)
    except ModuleNotFoundError:
        return "source"
