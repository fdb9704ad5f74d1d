import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varanger.qc.domain.cells import Cell, CellKey, key_of
from varanger.qc.domain.strata import strata_of

OUTCOMES = ("blank", "fox", "not_observed")


def cell(label: str = "fox", bin_index: int = 9, images: int = 100, setup: str = "heath", stratum: int = 0) -> Cell:
    return Cell(camera_setup=setup, label=label, bin=bin_index, stratum=stratum, images=images, drawn=0)


def test_cells_with_enough_reviews_stay_alone() -> None:
    cells = [cell(bin_index=9), cell(bin_index=8)]
    strata = strata_of(cells, {key_of(c): {"fox": 9, "blank": 3} for c in cells}, OUTCOMES, minimum=10)
    assert strata.images.tolist() == [100, 100]
    assert strata.effective.tolist() == [12, 12]
    np.testing.assert_allclose(strata.share[0], [0.25, 0.75, 0])


def test_sparse_cells_join_the_next_bin_below_and_leftovers_the_last() -> None:
    cells = [cell(bin_index=b, images=n) for b, n in ((9, 500), (8, 100), (7, 50), (6, 10))]
    seen = {key_of(c): {"fox": n} for c, n in zip(cells, (4, 7, 12, 3), strict=True)}
    strata = strata_of(cells, seen, OUTCOMES, minimum=10)
    assert strata.images.tolist() == [600, 60]
    assert strata.reviewed.tolist() == [11, 15]


def test_images_of_a_collapsed_stratum_stand_for_their_cells() -> None:
    cells = [cell(bin_index=9, images=1000), cell(bin_index=8, images=10)]
    strata = strata_of(cells, {key_of(cells[0]): {"fox": 5}, key_of(cells[1]): {"blank": 5}}, OUTCOMES, minimum=20)
    assert strata.images.tolist() == [1010]
    assert strata.totals[0].tolist() == pytest.approx([10, 1000, 0])
    assert strata.effective[0] < 6


def test_cells_nobody_looked_at_are_represented_by_their_stratum() -> None:
    cells = [cell(bin_index=9, images=100), cell(bin_index=8, images=50)]
    strata = strata_of(cells, {key_of(cells[0]): {"fox": 10, "blank": 10}}, OUTCOMES)
    assert strata.images.tolist() == [150]
    assert strata.totals[0].tolist() == pytest.approx([75, 75, 0])


def test_classes_and_setups_never_mix_and_unseen_classes_stay_outside() -> None:
    cells = [cell("blank"), cell("fox"), cell("fox", setup="snowbed")]
    strata = strata_of(cells, {key_of(cells[1]): {"fox": 1}}, OUTCOMES)
    assert strata.images.tolist() == [100]
    assert strata.setup == ("heath",)


def test_a_cell_reviewed_whole_needs_no_neighbour() -> None:
    cells = [cell(bin_index=9, images=3), cell(bin_index=8, images=900)]
    strata = strata_of(cells, {key_of(cells[0]): {"fox": 3}, key_of(cells[1]): {"blank": 20}}, OUTCOMES, minimum=10)
    assert strata.images.tolist() == [3, 900]


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="11 images reviewed of 10"):
        strata_of([cell(images=10)], {key_of(cell()): {"fox": 11}}, OUTCOMES)
    with pytest.raises(ValueError, match="does not have"):
        strata_of([cell()], {("heath", "stoat", 1, 0): {"fox": 1}}, OUTCOMES)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_every_covered_image_is_in_one_stratum(sizes: list[tuple[int, float, float]]) -> None:
    cells, seen = [], dict[CellKey, dict[str, int]]()
    for position, (images, part, right) in enumerate(sizes):
        one = cell(("blank", "fox")[position % 2], position // 2, images)
        reviewed = int(images * part)
        cells.append(one)
        seen[key_of(one)] = {"fox": int(reviewed * right), "blank": reviewed - int(reviewed * right)}
    strata = strata_of(cells, seen, OUTCOMES)
    covered = {c.label for c in cells if sum(seen[key_of(c)].values())}
    assert strata.images.sum() == sum(c.images for c in cells if c.label in covered)
    assert strata.reviewed.sum() == sum(sum(counts.values()) for counts in seen.values())
    if len(strata.images):
        np.testing.assert_allclose(strata.share.sum(axis=1), 1)
        np.testing.assert_allclose(strata.totals.sum(axis=1), strata.images)
        assert np.all(strata.effective <= strata.reviewed + 1e-9)
