"""Do the intervals cover? Seasons with known truth, rare species among them, drawn and reviewed again and again."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from varanger.qc.domain.cells import key_of_image
from varanger.qc.domain.design import RoundDesign
from varanger.qc.domain.draw import draw
from varanger.qc.domain.figures import Figure
from varanger.qc.domain.frame import Frame
from varanger.qc.domain.report import ReviewedImage, report_of

LABELS = ("blank", "fox", "hare", "lemming", "stoat", "wolverine")
SHARES = (0.80, 0.10, 0.06, 0.03, 0.008, 0.002)
FOUND = (0.985, 0.90, 0.90, 0.85, 0.80, 0.70)
"""How often the machine names each right."""
RARE = ("stoat", "wolverine")
IMAGES = 40_000


class Season:
    """Truth and answers of 40,000 images: most misses are called blank, with a runner-up a little higher."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.truth = generator.choice(len(LABELS), IMAGES, p=SHARES)
        wrong = generator.random(IMAGES) > np.array(FOUND)[self.truth]
        missed = np.where(generator.random(IMAGES) < 0.6, 0, generator.integers(0, len(LABELS), IMAGES))
        other = np.where(self.truth == 0, generator.integers(1, len(LABELS), IMAGES), missed)
        self.predicted = np.where(wrong, other, self.truth)
        right = self.predicted == self.truth
        sure = np.where(right, generator.beta(8, 1, IMAGES), generator.beta(3, 2, IMAGES))
        unseen = (self.predicted == 0) & (self.truth != 0)
        runner_up = np.where(unseen, generator.beta(2, 40, IMAGES), generator.beta(0.3, 40, IMAGES))
        self.confidence = np.where(self.predicted == 0, 1 - runner_up, sure)

    def frame(self) -> Frame:
        """As the catalog would give it."""
        ids = np.stack([np.zeros(IMAGES, np.uint64), np.arange(IMAGES, dtype=np.uint64)], axis=1)
        return Frame.of(
            media_id=ids,
            setup=np.zeros(IMAGES, np.int64),
            label=self.predicted,
            confidence=self.confidence,
            setups=("heath",),
            labels=LABELS,
        )

    def review(self, index: NDArray[np.int64], design: RoundDesign) -> Iterator[ReviewedImage]:
        """Answered by somebody who knows."""
        for one in index.tolist():
            label = LABELS[self.predicted[one]]
            cell = key_of_image(design, "heath", label, float(self.confidence[one]), blank=label == "blank")
            yield ReviewedImage(cell=cell, outcome=LABELS[self.truth[one]])

    def figures(self, design: RoundDesign) -> Iterator[tuple[str, Figure, float]]:
        """Name, figure and truth of what a round says of this season."""
        drawn = draw(self.frame(), design)
        report = report_of(drawn.cells, design, list(self.review(drawn.index, design))).overall
        assert report is not None
        yield "accuracy", report.accuracy, float((self.truth == self.predicted).mean())
        for found in report.classes:
            code = LABELS.index(found.label)
            both = float(((self.truth == code) & (self.predicted == code)).sum())
            predicted, truly = float((self.predicted == code).sum()), float((self.truth == code).sum())
            yield f"precision {found.label}", found.precision, both / predicted
            yield f"recall {found.label}", found.recall, both / truly
            yield f"F1 {found.label}", found.f1, 2 * both / (predicted + truly)


def coverage(design: dict[str, int], replicates: int) -> tuple[dict[str, float], dict[str, float]]:
    """Per figure, how often the interval and the textbook's ±1.96 standard errors hold the truth."""
    ours, textbook = defaultdict[str, list[bool]](list), defaultdict[str, list[bool]](list)
    for seed in range(replicates):
        for name, figure, truth in Season(seed).figures(RoundDesign(seed=seed, **design)):
            if figure.corrected is None or figure.interval is None or figure.standard_error is None:
                continue
            ours[name].append(figure.interval.low <= truth <= figure.interval.high)
            textbook[name].append(abs(figure.corrected - truth) <= 1.96 * figure.standard_error)
    return {name: float(np.mean(hits)) for name, hits in ours.items()}, {
        name: float(np.mean(hits)) for name, hits in textbook.items()
    }


def test_intervals_cover_in_a_few_seasons() -> None:
    """Six seasons of 19 figures, so a wide tolerance: that nothing is plainly broken."""
    ours, _ = coverage({}, replicates=6)
    assert len(ours) == 19
    assert np.mean(list(ours.values())) > 0.88
    assert min(ours.values()) >= 0.5


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("design", "lowest"),
    [
        ({}, 0.93),
        ({"per_bin": 0}, 0.93),
        ({"per_blank_stratum": 200}, 0.93),
        # A third of the paper's sizes: two or three missed foxes seen among 300 blanks. Said in decision 0003.
        ({"overall": 300, "per_class": 60, "per_bin": 0}, 0.90),
    ],
    ids=["paper", "paper without bins", "blank strata", "small"],
)
def test_intervals_cover(design: dict[str, int], lowest: float) -> None:
    """On the whole and for rare species' recall 0.93; no single figure below `lowest` by more than the study's noise."""
    replicates = 300
    ours, textbook = coverage(design, replicates)
    print("\n".join(f"{name:20s} {ours[name]:.3f} {textbook[name]:.3f}" for name in ours))  # noqa: T201 - the study's table
    # The lowest of 19 figures: three standard errors of one.
    noise = 3 * np.sqrt(lowest * (1 - lowest) / replicates)
    assert np.mean(list(ours.values())) >= 0.93
    assert np.mean([ours[f"recall {species}"] for species in RARE]) >= 0.93
    assert min(ours.values()) >= lowest - noise
    assert np.mean([textbook[f"recall {species}"] for species in RARE]) < 0.9
