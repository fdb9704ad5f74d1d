"""One temperature per model, fitted on images it has not learned from."""

import numpy as np
import pytest

from varanger.common.answering.calibration import calibrate_detector
from varanger.trainer.domain.calibration import fit_temperature


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    random = np.random.default_rng(4)
    scores = random.uniform(0.02, 0.98, 20_000)
    correct = random.uniform(size=scores.size) < calibrate_detector(scores, temperature)
    assert fit_temperature(scores, correct) == pytest.approx(temperature, rel=0.1)


def test_order_is_kept() -> None:
    scores = np.linspace(0, 1, 50)
    assert (np.diff(calibrate_detector(scores, 3.0)) >= 0).all()


@pytest.mark.parametrize("correct", [[], [True, True], [False, False]])
def test_where_there_is_nothing_to_learn_scores_stand(correct: list[bool]) -> None:
    assert fit_temperature([0.5] * len(correct), correct) == 1.0
