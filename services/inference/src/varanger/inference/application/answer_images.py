"""Ask a release's models about prepared images: global on all, each expert once on those that need it, then decide."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from varanger.common.answering.answer import decide, keep_from
from varanger.common.answering.reading import read_stage
from varanger.common.answering.routing import plan, plan_again
from varanger.common.answering.stages import StageAnswer
from varanger.common.ports.predictor import ModelFile, Predictor
from varanger.common.releases import CLASSIFIER, GLOBAL, ReleaseManifest, StageModel, expert_stage
from varanger.common.telemetry import metrics
from varanger.common.words import Prediction
from varanger.inference.adapters.decoding import PreparedImage


def sides(manifest: ReleaseManifest) -> frozenset[int]:
    """The sizes of square that the release's models take, pixels."""
    return frozenset(stage.input_size for stage in manifest.stages.values())


async def answer_images(
    manifest: ReleaseManifest,
    images: Sequence[PreparedImage],
    predictor: Predictor,
    locate: Callable[[StageModel], str],
    *,
    code_version: str,
) -> list[Prediction]:
    """One prediction per image, in order.

    Args:
        manifest: the release.
        images: upright, with a square of every size in `sides(manifest)`.
        predictor: runs the models.
        locate: where a stage's model file is, as the predictor's `fetch` reads it.
        code_version: stands in every prediction.

    Raises:
        DependencyDown: the predictor does not answer.
        ModelFault: a model breaks the model contract.
    """
    asking = _Asking(manifest, images, predictor, locate)
    everyone = range(len(images))
    if manifest.kind == CLASSIFIER:
        await asking.ask({CLASSIFIER: everyone})
    else:
        rule = manifest.routing
        await asking.ask({GLOBAL: everyone})
        await asking.ask(_by_expert(plan(answers[GLOBAL].detections, rule) for answers in asking.answers))
        await asking.ask(_by_expert(plan_again(answers, rule) for answers in asking.answers))
    return [decide(answers, manifest, code_version=code_version) for answers in asking.answers]


def _by_expert(plans: Iterable[frozenset[str]]) -> dict[str, list[int]]:
    """Per expert stage, the images it must look at."""
    asked: dict[str, list[int]] = defaultdict(list)
    for index, groups in enumerate(plans):
        for group in sorted(groups):
            asked[expert_stage(group)].append(index)
    return asked


class _Asking:
    """The stages' answers so far, per image."""

    def __init__(
        self,
        manifest: ReleaseManifest,
        images: Sequence[PreparedImage],
        predictor: Predictor,
        locate: Callable[[StageModel], str],
    ) -> None:
        self._manifest = manifest
        self._images = images
        self._predictor = predictor
        self._locate = locate
        self.answers: list[dict[str, StageAnswer]] = [{} for _ in images]

    async def ask(self, stages: Mapping[str, Sequence[int]]) -> None:
        """Ask each stage about its images, all stages side by side."""
        done = await asyncio.gather(
            *(self._ask_one(stage, indices) for stage, indices in sorted(stages.items())), return_exceptions=True
        )
        for outcome in done:
            if outcome is not None:
                raise outcome

    async def _ask_one(self, stage: str, indices: Sequence[int]) -> None:
        model = self._manifest.stages[stage]
        file = ModelFile(
            sha256=model.sha256,
            object_key=self._locate(model),
            input_size=model.input_size,
            classes=model.classes,
            detector=stage != CLASSIFIER,
        )
        await self._predictor.ensure_ready(file)
        batch = np.stack([self._images[index].squares[model.input_size] for index in indices])
        with metrics.STAGE_SECONDS.labels(f"model:{stage}").time():
            output = await self._predictor.run(file, batch)
        for row, index in enumerate(indices):
            self.answers[index][stage] = read_stage(
                stage,
                model.classes,
                model.temperature,
                output.boxes[row],
                output.scores[row],
                letterbox=self._images[index].letterbox(model.input_size),
                keep_from=keep_from(self._manifest),
            )
