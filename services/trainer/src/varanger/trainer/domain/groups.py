"""Expert groups: which species share an expert, and what an expert sees as background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from varanger.trainer.domain.dataset import LabelledBox, LabelledImage


class GroupsInvalid(ValueError):
    """The groups do not fit the dataset; the text says which species and why."""


def check_groups(groups: Mapping[str, Sequence[str]], classes: Sequence[str], never_routed: Sequence[str]) -> None:
    """Refuse groups that no routing rule could follow.

    Args:
        groups: expert group to its species.
        classes: classes of the global model.
        never_routed: people and vehicles.

    Raises:
        GroupsInvalid: an empty group, a species in two groups, one the dataset lacks, or one that is never routed.
    """
    seen: dict[str, str] = {}
    for group, members in groups.items():
        if not members:
            raise GroupsInvalid(f"group {group!r} has no species")
        for species in members:
            if species in never_routed:
                raise GroupsInvalid(f"{species!r} is never routed, so it cannot be in group {group!r}")
            if species not in classes:
                raise GroupsInvalid(f"group {group!r} names {species!r}, of which the dataset has no box")
            if species in seen:
                raise GroupsInvalid(f"{species!r} is in two groups: {seen[species]!r} and {group!r}")
            seen[species] = group


def class_order(groups: Mapping[str, Sequence[str]], classes: Sequence[str]) -> tuple[str, ...]:
    """Order the global model's classes: grouped species first, group by group, then the rest."""
    grouped = [species for group in groups for species in groups[group]]
    return (*grouped, *(label for label in classes if label not in grouped))


def boxes_for_expert(image: LabelledImage, species: Sequence[str]) -> tuple[LabelledBox, ...]:
    """Return the boxes an expert is taught in an image: its own species; everything else is background."""
    return tuple(box for box in image.boxes if box.label in species)


def images_for_expert(
    images: Sequence[LabelledImage], species: Sequence[str], background_per_image: float
) -> tuple[LabelledImage, ...]:
    """Choose an expert's training images: all with its own species, and an even spread of the others as background.

    Args:
        images: the training side.
        species: the expert's own.
        background_per_image: background images for each image of its own.
    """
    own = [image for image in images if boxes_for_expert(image, species)]
    others = [image for image in images if not (image.labels & set(species))]
    wanted = min(len(others), round(background_per_image * len(own)))
    spread = [others[index * len(others) // wanted] for index in range(wanted)] if wanted else []
    return (*own, *spread)
