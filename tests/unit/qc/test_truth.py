import pytest

from varanger.common.words import ImageQuality, Observation
from varanger.qc.domain.truth import truth_label


def seen(**counts: int) -> list[Observation]:
    return [Observation(taxon=taxon, count=count) for taxon, count in counts.items()]


@pytest.mark.parametrize(
    ("predicted", "observations", "expected"),
    [
        ("fox", seen(fox=1), "fox"),
        ("fox", seen(hare=1), "hare"),
        ("fox", [], "blank"),
        ("blank", [], "blank"),
        ("blank", seen(fox=1), "fox"),
        ("hare", seen(fox=3, hare=1), "hare"),
        ("blank", seen(fox=1, hare=2), "hare"),
        ("blank", seen(hare=2, fox=2), "fox"),
        ("blank", seen(blank=1), "blank"),
    ],
)
def test_the_predicted_label_is_right_iff_it_was_seen(
    predicted: str, observations: list[Observation], expected: str
) -> None:
    assert truth_label(predicted, observations, ImageQuality.GOOD) == expected


def test_bad_quality_is_not_observed_never_absent() -> None:
    assert truth_label("blank", [], ImageQuality.BAD_QUALITY) is None
    assert truth_label("fox", seen(fox=1), ImageQuality.BAD_QUALITY) is None
