"""Boxes, the letterbox and back, calibration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varanger.common.answering.boxes import Letterbox, overlap, share_their_centres
from varanger.common.answering.calibration import calibrate_classifier, calibrate_detector
from varanger.common.answering.reading import read_stage

SIDES = st.sampled_from([320, 640, 1280])
PIXELS = st.integers(1, 5000)
UNIT = st.floats(0, 1)


def test_overlap() -> None:
    assert overlap((0, 0, 0.5, 0.5), (0, 0, 0.5, 0.5)) == 1
    assert overlap((0, 0, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5)) == 0
    assert overlap((0, 0, 0.2, 0.2), (0.1, 0, 0.2, 0.2)) == pytest.approx(1 / 3)
    assert overlap((0.1, 0.1, 0, 0), (0.1, 0.1, 0, 0)) == 0


@given(st.tuples(UNIT, UNIT, UNIT, UNIT), st.tuples(UNIT, UNIT, UNIT, UNIT))
def test_overlap_is_symmetric_and_a_share(
    a: tuple[float, float, float, float], b: tuple[float, float, float, float]
) -> None:
    assert overlap(a, b) == pytest.approx(overlap(b, a))
    assert 0 <= overlap(a, b) <= 1


def test_centres() -> None:
    assert share_their_centres((0.4, 0.4, 0.2, 0.2), (0.45, 0.45, 0.1, 0.1))
    assert not share_their_centres((0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.1, 0.1))


@given(st.builds(Letterbox, PIXELS, PIXELS, SIDES), st.tuples(UNIT, UNIT, UNIT, UNIT))
def test_a_box_goes_into_the_square_and_comes_back(box: Letterbox, corners: tuple[float, float, float, float]) -> None:
    x1, y1, x2, y2 = corners
    (left, top), (inner_width, inner_height) = box.offset, box.inner
    shares = box.to_shares(
        left + x1 * inner_width, top + y1 * inner_height, left + x2 * inner_width, top + y2 * inner_height
    )
    expected = (min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1))
    assert shares == pytest.approx(expected, abs=2e-6)
    assert max(inner_width, inner_height) == box.side
    assert left + inner_width <= box.side
    assert top + inner_height <= box.side


def test_a_box_is_cut_at_the_images_edge() -> None:
    assert Letterbox(200, 100, 640).to_shares(-5, 0, 700, 640) == (0.0, 0.0, 1.0, 1.0)


@given(st.lists(UNIT, min_size=2), st.floats(0.2, 5))
def test_calibration_keeps_order_and_range(scores: list[float], temperature: float) -> None:
    given_scores = np.sort(np.array(scores))
    calibrated = calibrate_detector(given_scores, temperature)
    assert (np.diff(calibrated) >= -1e-12).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


def test_calibration_by_hand() -> None:
    scores = np.array([0.0, 0.5, 0.8])
    np.testing.assert_allclose(calibrate_detector(scores, 1.0), scores)
    np.testing.assert_allclose(calibrate_detector(scores, 2.0), [0.0, 0.5, 2 / 3])
    np.testing.assert_allclose(calibrate_classifier(np.array([0.9, 0.1]), 1.0), [0.9, 0.1])
    np.testing.assert_allclose(calibrate_classifier(np.array([0.9, 0.1]), 2.0), [0.75, 0.25])
    np.testing.assert_allclose(calibrate_classifier(np.array([1.0, 0.0, 0.0]), 0.5), [1, 0, 0], atol=1e-12)


def test_reading_a_stage() -> None:
    boxes = np.zeros((300, 6), np.float32)
    boxes[0] = (320, 320, 640, 480, 0.8, 1)
    boxes[1] = (0, 0, 640, 10, 0.9, 0)  # in the margin above a wide image
    boxes[2] = (0, 320, 64, 352, 0.01, 0)
    answer = read_stage(
        "expert:small",
        ("hare", "mouse"),
        2.0,
        boxes,
        np.array([0.9, 0.8], np.float32),
        letterbox=Letterbox(1280, 640, 640),
        keep_from=0.1,
    )
    (box,) = answer.detections
    assert (box.stage, box.label, box.bbox) == ("expert:small", "mouse", (0.5, 0.5, 0.5, 0.5))
    assert box.confidence == pytest.approx(2 / 3, abs=1e-6)
    assert answer.scores == pytest.approx({"hare": 0.75, "mouse": 2 / 3}, abs=1e-6)
