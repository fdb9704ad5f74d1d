"""The simulated species: which exist, how rare they are, and which are easily taken for each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Group = Literal["large", "medium", "micro"]


@dataclass(frozen=True)
class Species:
    """One drawn species.

    Attributes:
        name: Class name; the names are readable but the animals are drawings.
        group: The natural expert group it belongs to.
        commonness: Relative share of animal events before a site's own taste is applied.
        rare: Whether a season of ordinary size shows it only a few times.
        lookalike: The species it differs from in small details only, if there is one.
        most_together: Largest number of its kind in one event.
    """

    name: str
    group: Group
    commonness: float
    rare: bool = False
    lookalike: str | None = None
    most_together: int = 1


SPECIES: Final[tuple[Species, ...]] = (
    Species("red_deer", "large", 1.0, lookalike="fallow_deer", most_together=3),
    Species("fallow_deer", "large", 0.8, lookalike="red_deer", most_together=4),
    Species("wild_boar", "large", 0.9, most_together=4),
    Species("red_fox", "medium", 1.0, lookalike="wolf"),
    Species("wolf", "medium", 0.6, lookalike="red_fox", most_together=2),
    Species("lynx", "medium", 0.12, rare=True),
    Species("hare", "micro", 0.9, lookalike="rabbit", most_together=2),
    Species("rabbit", "micro", 0.8, lookalike="hare", most_together=3),
    Species("mouse", "micro", 0.15, rare=True),
)

NOT_ANIMALS: Final[tuple[str, ...]] = ("person", "vehicle")
"""Classes that make a media private and are never routed to an expert."""

CLASSES: Final[tuple[str, ...]] = (*(species.name for species in SPECIES), *NOT_ANIMALS)
"""Every class that can have a true box, in the order of the YOLO class numbers."""

EXPERT_GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        group: tuple(species.name for species in SPECIES if species.group == group)
        for group in ("large", "medium", "micro")
    }
)
