"""The textbook part, against published numbers."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varanger.qc.domain import estimator
from varanger.qc.domain.estimator import Ratio, estimate
from varanger.qc.domain.strata import Strata

# Stehman 2014, the numerical example, as the R packages mapac and mapaccuracy carry it: 40 pixels, ten per stratum.
REFERENCE = tuple("AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB")
MAP = tuple("AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD")
SIZES = (40_000.0, 30_000.0, 20_000.0, 10_000.0)
PAIRS = tuple(f"{on_map}{truly}" for on_map, truly in product("ABCD", "ABCD"))


def stehman(scale: float = 1.0) -> Strata:
    """Strata there are not the map's classes, so an outcome is a pair and every stratum has one row of weights."""
    seen = np.zeros((4, len(PAIRS)))
    for position, (on_map, truly) in enumerate(zip(MAP, REFERENCE, strict=True)):
        seen[position // 10, PAIRS.index(on_map + truly)] += 1
    return Strata(
        PAIRS, np.array(SIZES) * scale, seen, seen / 10, np.full(4, 10.0), np.zeros(4, dtype=np.int64), ("",) * 4
    )


def where(condition: str) -> np.ndarray:
    """Weights (1, 16) of the pairs for which `condition` of m(ap) and r(eference) holds."""
    wanted = {
        "all": lambda m, r: True,
        "agree": lambda m, r: m == r,
        **{f"map {c}": lambda m, r, c=c: m == c for c in "ABCD"},
        **{f"truly {c}": lambda m, r, c=c: r == c for c in "ABCD"},
        **{f"both {c}": lambda m, r, c=c: m == r == c for c in "ABCD"},
    }[condition]
    return np.array([[float(wanted(*pair)) for pair in PAIRS]])


@pytest.mark.parametrize(
    ("above", "below", "value", "standard_error"),
    [
        ("agree", "all", 0.63, 0.085),
        ("both A", "map A", 0.742, 0.165),
        ("both B", "map B", 0.574, 0.125),
        ("both A", "truly A", 0.657, 0.148),
        ("both B", "truly B", 0.794, 0.117),
        ("truly A", "all", 0.35, 0.082),
        ("truly C", "all", 0.20, 0.064),
    ],
)
def test_stehman_2014(above: str, below: str, value: float, standard_error: float) -> None:
    found = estimate(stehman(), Ratio(where(above), where(below)))
    assert found.value == pytest.approx(value, abs=5e-4)
    assert found.standard_error == pytest.approx(standard_error, abs=5e-4)


def test_check_vector_of_mapac() -> None:
    """0.63 and 0.0847, to all its digits where the population is so large that its correction vanishes."""
    ratio = Ratio(where("agree"), where("all"))
    without_correction = estimate(stehman(scale=1e6), ratio)
    assert without_correction.value == pytest.approx(0.63, abs=1e-12)
    assert round(without_correction.standard_error or 0, 4) == 0.0847
    assert estimate(stehman(), ratio).standard_error == pytest.approx(0.0847, abs=1e-4)


def test_simple_random_sampling_is_the_school_formula() -> None:
    seen = np.array([[30.0, 20.0]])
    strata = Strata(("a", "b"), np.array([1000.0]), seen, seen / 50, np.array([50.0]), np.array([0]), ("",))
    found = estimate(strata, estimator.accuracy(strata.outcomes))
    assert found.value == pytest.approx(0.6)
    assert found.standard_error == pytest.approx(np.sqrt((1 - 50 / 1000) * 0.6 * 0.4 / 49))


def test_nothing_to_divide_by_is_no_figure() -> None:
    seen = np.array([[5.0, 0.0]])
    strata = Strata(("a", "b"), np.array([9.0]), seen, seen / 5, np.array([5.0]), np.array([0]), ("",))
    assert estimate(strata, estimator.precision(strata.outcomes, "b")).value is None
    assert estimate(strata, estimator.recall(strata.outcomes, "b")).value is None


@settings(max_examples=100, deadline=None)
@given(
    counts=st.lists(st.lists(st.integers(0, 20), min_size=3, max_size=3).filter(any), min_size=1, max_size=8),
    extra=st.lists(st.integers(0, 1000), min_size=8, max_size=8),
)
def test_figures_are_shares(counts: list[list[int]], extra: list[int]) -> None:
    seen = np.array(counts, dtype=float)
    reviewed = seen.sum(axis=1)
    images = reviewed + np.array(extra[: len(counts)])
    predicted = np.arange(len(counts)) % 2
    outcomes = ("blank", "fox", estimator.NOT_OBSERVED)
    strata = Strata(outcomes, images, seen, seen / reviewed[:, None], reviewed, predicted, ("",) * len(counts))
    assert strata.totals.sum() == pytest.approx(images.sum())
    ratios = [estimator.accuracy(outcomes)]
    ratios += [figure(outcomes, "fox") for figure in (estimator.precision, estimator.recall, estimator.f1)]
    for ratio in ratios:
        found = estimate(strata, ratio)
        if found.value is not None:
            assert -1e-12 <= found.value <= 1 + 1e-12
            assert found.standard_error is not None and found.standard_error >= 0
            if not any(extra[: len(counts)]):
                assert found.standard_error == 0
