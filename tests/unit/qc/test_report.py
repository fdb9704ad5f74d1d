import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varanger.qc.domain.cells import Cell, key_of
from varanger.qc.domain.design import RoundDesign
from varanger.qc.domain.estimator import NOT_OBSERVED
from varanger.qc.domain.figures import Figure, RoundReport
from varanger.qc.domain.posterior import HALF_PRIOR, PRIOR, posterior
from varanger.qc.domain.report import ReviewedImage, report_of, wilson
from varanger.qc.domain.strata import strata_of

DESIGN = RoundDesign(seed=11)


def cell(label: str, images: int, drawn: int, bin_index: int = 9, setup: str = "heath") -> Cell:
    return Cell(camera_setup=setup, label=label, bin=bin_index, stratum=0, images=images, drawn=drawn)


def reviews(of: Cell, **outcomes: int) -> list[ReviewedImage]:
    return [ReviewedImage(cell=key_of(of), outcome=name) for name, count in outcomes.items() for _ in range(count)]


def test_raw_and_corrected_part_where_rare_classes_were_oversampled() -> None:
    blank, fox = cell("blank", 99_000, 100), cell("fox", 1000, 100)
    report = report_of([blank, fox], DESIGN, reviews(blank, blank=100) + reviews(fox, fox=50, blank=50))
    assert report.overall is not None
    accuracy = report.overall.accuracy
    assert accuracy.raw is not None and accuracy.interval is not None
    assert accuracy.raw.value == pytest.approx(0.75)
    assert accuracy.corrected == pytest.approx(0.99 + 0.01 * 0.5)
    assert accuracy.interval.low <= 0.995 <= accuracy.interval.high < 1
    assert sum(share for row in report.overall.confusion.values() for share in row.values()) == pytest.approx(1)
    assert report.setups == {"heath": report.overall}


def test_a_thousand_clean_blanks_do_not_prove_that_no_stoat_was_missed() -> None:
    blank, stoat = cell("blank", 100_000, 1000), cell("stoat", 100, 100)
    report = report_of([blank, stoat], DESIGN, reviews(blank, blank=1000) + reviews(stoat, stoat=100))
    assert report.overall is not None
    recall = next(found for found in report.overall.classes if found.label == "stoat").recall
    assert recall.corrected == 1.0 and recall.standard_error == 0.0
    assert recall.interval is not None and recall.interval_half_prior is not None
    assert recall.interval.low < 0.7 and recall.interval.high == 1.0
    assert recall.interval.low < recall.interval_half_prior.low


def test_bad_quality_counts_for_nothing_but_itself() -> None:
    fox = cell("fox", 1000, 100)
    report = report_of([fox], DESIGN, reviews(fox, fox=60, hare=20, **{NOT_OBSERVED: 20}))
    assert report.overall is not None
    assert report.overall.not_observed == 20
    assert report.overall.accuracy.corrected == pytest.approx(0.75)
    assert report.overall.accuracy.raw is not None and report.overall.accuracy.raw.images == 80
    assert report.overall.not_observed_share.corrected == pytest.approx(0.2)
    assert [found.label for found in report.overall.classes] == ["fox", "hare"]


def test_what_nobody_looked_at_is_said() -> None:
    report = report_of([cell("fox", 300, 3), cell("hare", 100, 5)], DESIGN, reviews(cell("fox", 300, 3), fox=3))
    assert report.overall is not None
    assert report.overall.covered_share == pytest.approx(0.75)
    hare = next(found for found in report.overall.classes if found.label == "hare")
    assert hare.precision == Figure() and not report.complete


def test_nothing_reviewed_is_no_estimate() -> None:
    report = report_of([cell("fox", 10, 5)], DESIGN, [])
    assert (report.overall, report.reviewed, report.drawn, report.complete) == (None, 0, 5, False)


def test_the_same_reviews_give_the_same_report_and_it_survives_json() -> None:
    blank, fox = cell("blank", 900, 50), cell("fox", 90, 40, bin_index=5, setup="snowbed")
    answered = reviews(blank, blank=48, fox=2) + reviews(fox, fox=30, hare=10)
    report = report_of([blank, fox], DESIGN, answered)
    assert report == report_of([blank, fox], DESIGN, answered[::-1])
    assert RoundReport.model_validate(json.loads(report.model_dump_json())) == report


def test_two_setups_are_more_certain_than_one() -> None:
    """Their posteriors are independent: with the same reviews in each, the width shrinks by the root of two."""
    one = [cell("fox", 10_000, 200), cell("blank", 10_000, 200)]
    two = [*one, *(part.model_copy(update={"camera_setup": "snowbed"}) for part in one)]

    def width(cells: list[Cell]) -> float:
        answered = [image for part in cells for image in reviews(part, fox=100, blank=100)]
        overall = report_of(cells, DESIGN, answered).overall
        assert overall is not None and overall.accuracy.interval is not None
        return overall.accuracy.interval.high - overall.accuracy.interval.low

    assert width(two) / width(one) == pytest.approx(np.sqrt(0.5), rel=0.12)


def test_bins_have_their_own_accuracy() -> None:
    high, low = cell("fox", 500, 40), cell("fox", 100, 40, bin_index=3)
    report = report_of([high, low], DESIGN, reviews(high, fox=40) + reviews(low, fox=10, hare=30))
    assert report.overall is not None
    assert [(found.low, found.high, found.accuracy.corrected) for found in report.overall.bins] == [
        (0.3, 0.4, pytest.approx(0.25)),
        (0.9, 1.0, pytest.approx(1.0)),
    ]


def figures(report: RoundReport) -> list[Figure]:
    return [
        figure
        for found in report.setups.values()
        for figure in (
            found.accuracy,
            found.not_observed_share,
            *(one.accuracy for one in found.bins),
            *(part for one in found.classes for part in (one.precision, one.recall, one.f1)),
        )
    ]


@st.composite
def reviewed_cells(draw: st.DrawFn) -> tuple[list[Cell], list[ReviewedImage]]:
    cells, answered = [], []
    for label in draw(st.lists(st.sampled_from(["blank", "fox", "hare"]), min_size=1, max_size=3, unique=True)):
        for bin_index in draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True)):
            counts = {name: draw(st.integers(0, 30)) for name in ("blank", "fox", NOT_OBSERVED)}
            reviewed = sum(counts.values())
            images = max(1, reviewed + draw(st.sampled_from([0, 0, 1, 50, 100_000])))
            cells.append(cell(label, images, reviewed, bin_index))
            answered += reviews(cells[-1], **counts)
    return cells, answered


@settings(max_examples=25, deadline=None)
@given(reviewed_cells())
def test_every_figure_is_a_share_inside_its_interval(case: tuple[list[Cell], list[ReviewedImage]]) -> None:
    cells, answered = case
    report = report_of(cells, DESIGN, answered)
    census = all(found.images == found.drawn for found in cells)
    for figure in figures(report):
        if figure.corrected is None:
            assert figure.interval is None
            continue
        assert figure.interval is not None and figure.standard_error is not None
        assert -1e-9 <= figure.interval.low <= figure.corrected <= figure.interval.high <= 1 + 1e-9
        if census:
            assert figure.interval.high - figure.interval.low < 1e-9
            assert figure.standard_error == 0
            assert figure.raw is not None and figure.raw.value == pytest.approx(figure.corrected)


def test_posterior_populations_have_the_frames_size() -> None:
    cells = [cell("blank", 5000, 60), cell("fox", 30, 30)]
    seen = {key_of(cells[0]): {"blank": 58, "fox": 2}, key_of(cells[1]): {"fox": 30}}
    strata = strata_of(cells, seen, ("blank", "fox"))
    for prior in (PRIOR, HALF_PRIOR):
        drawn = posterior(strata, [1], prior, replicates=200)
        assert np.all(drawn.images.sum(axis=(1, 2)) == 5030)
        assert np.all(drawn.images[:, 1] == [0, 30])


def test_wilson() -> None:
    """Newcombe 1998, table I: 81 of 263."""
    low, high = wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
