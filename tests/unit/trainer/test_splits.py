"""No event and no site stands on both sides, and every class keeps its share."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varanger.trainer.domain.dataset import LabelledBox, LabelledImage
from varanger.trainer.domain.splits import Split, SplitBy, split_dataset


def image(number: int, site: str, event: str, *labels: str) -> LabelledImage:
    boxes = tuple(LabelledBox(label, (0.1, 0.1, 0.2, 0.2)) for label in labels)
    return LabelledImage(Path(f"{number:05d}.jpg"), site, event, boxes)


def sides(split: Split) -> list[tuple[LabelledImage, ...]]:
    return [split.train, split.validation, split.test]


rows = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 12), st.sampled_from(["", "fox", "hare", "lynx"])),
    min_size=10,
    max_size=60,
)


@pytest.mark.parametrize("by", ["site", "event"])
@given(rows=rows, seed=st.integers(0, 5))
def test_nothing_is_divided_and_nothing_is_lost(by: SplitBy, rows: list[tuple[int, int, str]], seed: int) -> None:
    # An event number may appear at two sites here: such sites must then stay together.
    images = [
        image(number, f"s{site}", f"e{event}", *([label] if label else []))
        for number, (site, event, label) in enumerate(rows)
    ]
    try:
        split = split_dataset(images, by=by, validation=0.2, test=0.2, seed=seed)
    except ValueError:
        return  # too few units to divide
    assert sorted(str(one.path) for side in sides(split) for one in side) == [str(one.path) for one in images]
    for key in ("event", "site") if by == "site" else ("event",):
        seen = [{getattr(one, key) for one in side} for side in sides(split)]
        assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]


def test_every_class_keeps_about_its_share() -> None:
    labels = ["fox", "hare", "lynx", "deer"]
    images = [image(n, f"s{n % 20}", f"e{n}", labels[n % 4]) for n in range(400)]
    split = split_dataset(images, by="event", validation=0.2, test=0.2, seed=3)
    for label in labels:
        counts = [sum(label in one.labels for one in side) for side in sides(split)]
        assert counts == [60, 20, 20]


def test_a_rare_class_reaches_every_side_where_it_has_three_units() -> None:
    common = [image(n, f"s{n % 15}", f"e{n}", "fox") for n in range(150)]
    rare = [image(200 + n, f"s{n}", f"r{n}", "lynx") for n in range(3)]
    split = split_dataset(common + rare, by="site", validation=0.15, test=0.2, seed=0)
    assert all(any("lynx" in one.labels for one in side) for side in sides(split))


def test_the_same_seed_gives_the_same_sides() -> None:
    images = [image(n, f"s{n % 9}", f"e{n % 9}-{n // 18}", "fox" if n % 3 else "hare") for n in range(90)]
    first = split_dataset(images, by="site", validation=0.2, test=0.2, seed=7)
    assert split_dataset(images[::-1], by="site", validation=0.2, test=0.2, seed=7) == first


@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.5, 0.5), (0.2, -0.1)])
def test_shares_that_leave_nothing_to_train_on_are_refused(validation: float, test: float) -> None:
    with pytest.raises(ValueError, match="shares"):
        split_dataset([image(1, "a", "b", "fox")], by="site", validation=validation, test=test, seed=0)


def test_two_sites_cannot_make_three_sides() -> None:
    images = [image(n, f"s{n % 2}", f"e{n}", "fox") for n in range(20)]
    with pytest.raises(ValueError, match="three units"):
        split_dataset(images, by="site", validation=0.2, test=0.2, seed=0)
