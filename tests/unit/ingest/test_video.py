import pytest

from varanger.ingest.domain.video import sample_frames


@pytest.mark.parametrize(
    ("count", "frame_rate", "frames_per_s", "expected"),
    [
        (1, 30.0, 1.0, [0]),
        (90, 30.0, 1.0, [0, 30, 60]),
        (91, 30.0, 1.0, [0, 30, 60, 90]),
        (10, 2.5, 1.0, [0, 2, 5, 7]),
        (4, 1.0, 10.0, [0, 1, 2, 3]),
        (60, 30.0, 2.0, [0, 15, 30, 45]),
    ],
)
def test_frames_at_a_rate(count, frame_rate, frames_per_s, expected):
    assert sample_frames(count, frame_rate, frames_per_s=frames_per_s, max_frames=60) == expected


def test_a_long_video_is_looked_at_over_its_whole_length():
    numbers = sample_frames(18_000, 30.0, frames_per_s=1.0, max_frames=60)
    assert len(numbers) == 60
    assert numbers[:2] == [0, 300]
    assert numbers[-1] == 17_700


def test_numbers_rise_and_lie_inside():
    for count in (1, 2, 59, 60, 61, 1000):
        numbers = sample_frames(count, 29.97, frames_per_s=7.0, max_frames=60)
        assert numbers == sorted(set(numbers))
        assert numbers[0] == 0
        assert numbers[-1] < count
        assert len(numbers) <= 60
