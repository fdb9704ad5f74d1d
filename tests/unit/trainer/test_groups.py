"""Groups that fit the dataset, and what an expert is shown."""

from pathlib import Path

import pytest

from varanger.trainer.domain.dataset import LabelledBox, LabelledImage
from varanger.trainer.domain.groups import (
    GroupsInvalid,
    boxes_for_expert,
    check_groups,
    class_order,
    images_for_expert,
)

CLASSES = ("deer", "fox", "hare", "person")
GROUPS = {"large": ("deer",), "small": ("hare", "fox")}
BOX = (0.1, 0.1, 0.3, 0.3)


def image(number: int, *labels: str) -> LabelledImage:
    return LabelledImage(Path(f"{number}.jpg"), "s", f"e{number}", tuple(LabelledBox(label, BOX) for label in labels))


def test_groups_that_fit_pass() -> None:
    check_groups(GROUPS, CLASSES, ["person"])


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"large": ()}, "no species"),
        ({"large": ("deer",), "other": ("deer",)}, "two groups"),
        ({"large": ("bear",)}, "no box"),
        ({"people": ("person",)}, "never routed"),
    ],
)
def test_groups_that_no_rule_could_follow_are_refused(groups: dict[str, tuple[str, ...]], said: str) -> None:
    with pytest.raises(GroupsInvalid, match=said):
        check_groups(groups, CLASSES, ["person"])


def test_classes_stand_group_by_group_then_the_rest() -> None:
    assert class_order(GROUPS, CLASSES) == ("deer", "hare", "fox", "person")


def test_an_expert_is_taught_its_own_boxes_alone() -> None:
    both = image(1, "deer", "hare", "person")
    assert [box.label for box in boxes_for_expert(both, GROUPS["small"])] == ["hare"]


def test_other_animals_and_blanks_are_an_experts_background() -> None:
    images = [image(0, "hare"), *(image(n, "deer") for n in range(1, 9)), image(9), image(10, "fox", "deer")]
    chosen = images_for_expert(images, GROUPS["small"], background_per_image=2.0)
    own = [one for one in chosen if one.labels & {"hare", "fox"}]
    assert [one.path.stem for one in own] == ["0", "10"]
    assert len(chosen) == 6
    assert all(not boxes_for_expert(one, GROUPS["small"]) for one in chosen if one not in own)
