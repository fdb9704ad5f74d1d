from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from varanger.qc.domain.cells import cell_codes, key_of, key_of_image, tabulate_cells
from varanger.qc.domain.design import RoundDesign
from varanger.qc.domain.draw import draw
from varanger.qc.domain.frame import Frame, FrameRow

LABELS = ("blank", "fox", "hare", "stoat")


def rows_of(images: int, seed: int = 1, setups: tuple[str, ...] = ("heath", "snowbed")) -> list[FrameRow]:
    generator = np.random.default_rng(seed)
    labels = generator.choice(len(LABELS), images, p=(0.7, 0.2, 0.08, 0.02))
    confidences = np.round(generator.beta(4, 1, images), 3)
    where = generator.integers(0, len(setups), images)
    return [
        (
            UUID(int=(index << 64) | int(generator.integers(1 << 62))),
            setups[where[index]],
            LABELS[labels[index]],
            float(c),
        )
        for index, c in enumerate(confidences)
    ]


def drawn_ids(rows: list[FrameRow], design: RoundDesign) -> list[UUID]:
    frame = Frame.from_rows(rows)
    return [frame.media(index) for index in draw(frame, design).index.tolist()]


def test_the_same_seed_draws_the_same_images_in_whatever_order_they_come() -> None:
    rows = rows_of(3000)
    design = RoundDesign(seed=7, overall=100, per_class=20, per_bin=20)
    shuffled = [rows[index] for index in np.random.default_rng(3).permutation(len(rows)).tolist()]
    assert drawn_ids(rows, design) == drawn_ids(shuffled, design)
    assert drawn_ids(rows, design) != drawn_ids(rows, design.model_copy(update={"seed": 8}))


def test_a_stored_seed_says_the_same_for_ever() -> None:
    """Written down once: a change here would make stored rounds unrepeatable."""
    rows = [(UUID(int=index), "heath", "blank" if index % 3 else "fox", 0.5 + index / 200) for index in range(100)]
    assert [i.int for i in drawn_ids(rows, RoundDesign(seed=2023, overall=5, per_class=2, per_bin=1))] == [
        0,
        20,
        16,
        32,
        25,
        54,
        83,
        60,
        19,
        58,
        85,
        39,
        63,
        62,
    ]


def test_one_more_setup_does_not_move_the_other_setups_draw() -> None:
    rows = rows_of(2000, setups=("heath",))
    more = rows + [(UUID(int=(index << 64) | (1 << 63)), "snowbed", "fox", 0.5) for index in range(500)]
    design = RoundDesign(seed=1, overall=50, per_class=10, per_bin=10)
    alone = set(drawn_ids(rows, design))
    assert alone == set(drawn_ids(more, design)) & {row[0] for row in rows}
    only = drawn_ids(more, design.model_copy(update={"camera_setups": ("heath",)}))
    assert set(only) == alone


def test_inclusion_probability_is_the_share_of_rounds_an_image_stands_in() -> None:
    frame = Frame.from_rows(rows_of(120, setups=("heath",)))
    stands, said = np.zeros(len(frame)), np.zeros(len(frame))
    rounds = 1500
    for seed in range(rounds):
        found = draw(frame, RoundDesign(seed=seed, overall=20, per_class=4, per_bin=3, per_blank_stratum=2))
        stands[found.index] += 1
        said[found.index] = found.inclusion_probability
    # Five standard deviations of a binomial share, for each of 120 images.
    assert np.all(np.abs(stands / rounds - said) < 5 * np.sqrt(said * (1 - said) / rounds) + 1e-12)


def test_horvitz_thompson_finds_the_size_of_every_class() -> None:
    frame = Frame.from_rows(rows_of(400, setups=("heath",)))
    estimates = []
    for seed in range(300):
        found = draw(frame, RoundDesign(seed=seed, overall=40, per_class=10, per_bin=5))
        estimates.append(np.bincount(frame.label[found.index], 1 / found.inclusion_probability, len(frame.labels)))
    truth = np.bincount(frame.label)
    error = np.std(estimates, axis=0) / np.sqrt(len(estimates))
    assert np.all(np.abs(np.mean(estimates, axis=0) - truth) < 4 * error + 1e-9)


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(0, 300),
    seed=st.integers(0, 2**63 - 1),
    sizes=st.tuples(st.integers(0, 400), st.integers(1, 50), st.integers(0, 50), st.integers(0, 20)),
)
def test_a_draw_is_a_set_of_the_frames_images(images: int, seed: int, sizes: tuple[int, int, int, int]) -> None:
    overall, per_class, per_bin, per_blank_stratum = sizes
    design = RoundDesign(
        seed=seed, overall=overall, per_class=per_class, per_bin=per_bin, per_blank_stratum=per_blank_stratum
    )
    frame = Frame.from_rows(rows_of(images, seed % 97))
    found = draw(frame, design)
    assert len(set(found.index.tolist())) == len(found) <= len(frame)
    assert np.all((found.inclusion_probability > 0) & (found.inclusion_probability <= 1))
    assert all(found.samples)
    assert sum(cell.images for cell in found.cells) == len(frame)
    assert sum(cell.drawn for cell in found.cells) == len(found)
    for setup in range(len(frame.setups)):
        inside = frame.setup[found.index] == setup
        expected = min(overall, int((frame.setup == setup).sum()))
        in_overall = [s for s, here in zip(found.samples, inside.tolist(), strict=True) if here and "overall" in s]
        assert len(in_overall) == expected
        for label, name in enumerate(frame.labels):
            available = int(((frame.setup == setup) & (frame.label == label)).sum())
            taken = [s for s, here in zip(found.samples, inside.tolist(), strict=True) if here and f"class:{name}" in s]
            assert len(taken) == min(per_class, available)


def test_inclusion_depends_on_the_cell_alone() -> None:
    design = RoundDesign(seed=5, overall=200, per_class=40, per_bin=30, per_blank_stratum=15)
    frame = Frame.from_rows(rows_of(2000))
    found = draw(frame, design)
    codes = cell_codes(frame, design)[found.index]
    for code in np.unique(codes):
        assert np.ptp(found.inclusion_probability[codes == code]) < 1e-12


def test_cells_of_images_and_of_the_frame_agree() -> None:
    design = RoundDesign(seed=5)
    frame = Frame.from_rows(rows_of(500))
    everything = np.arange(len(frame))
    counted: dict[tuple[str, str, int, int], int] = {}
    for index in everything.tolist():
        label = frame.labels[frame.label[index]]
        setup = frame.setups[frame.setup[index]]
        key = key_of_image(design, setup, label, float(frame.confidence[index]), blank=label == "blank")
        counted[key] = counted.get(key, 0) + 1
    assert counted == {key_of(cell): cell.images for cell in tabulate_cells(frame, design, everything)}


@pytest.mark.parametrize(
    ("confidence", "expected"), [(0.0, 0), (0.1, 0), (0.100001, 1), (0.3, 2), (0.7, 6), (0.9, 8), (0.95, 9), (1.0, 9)]
)
def test_bins_are_open_below_and_closed_above(confidence: float, expected: int) -> None:
    assert RoundDesign(seed=1).bin_of(np.array([confidence])).tolist() == [expected]


def test_a_design_that_makes_no_sense_is_refused() -> None:
    for wrong in (
        {"seed": -1},
        {"seed": 1, "bin_edges": (0.0, 0.5)},
        {"seed": 1, "bin_edges": (0.0, 0.5, 0.5, 1.0)},
        {"seed": 1, "overall": 0, "per_class": 0, "per_bin": 0},
        {"seed": 1, "overall": -5},
    ):
        with pytest.raises(ValidationError):
            RoundDesign.model_validate(wrong)


def test_a_frame_that_makes_no_sense_is_refused() -> None:
    row = (UUID(int=1), "heath", "fox", 0.5)
    with pytest.raises(ValueError, match="twice"):
        Frame.from_rows([row, row])
    with pytest.raises(ValueError, match="confidence"):
        Frame.from_rows([(UUID(int=1), "heath", "fox", 1.5)])
    with pytest.raises(ValueError, match="meadow"):
        draw(Frame.from_rows([row]), RoundDesign(seed=1, camera_setups=("meadow",)))
