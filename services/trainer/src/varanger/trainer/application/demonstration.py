"""The demonstration release: what it is trained on, and how, so that anyone can make it again."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from varanger.trainer.domain.spec import DatasetSource, Effort, SplitRule, TrainingSpec

#: Fields of the field simulator's ``SeasonPlan``: every species about as often, few blanks, many sites.
SEASON: Final = MappingProxyType(
    {
        "seed": 20260,
        "sites": 60,
        "images": 2200,
        "blank_share": 0.3,
        "time_lapse_share": 0.05,
        "burst_length": (1, 2),
        "people_share": 0.12,
        "company_share": 0.3,
    }
)
DESCRIPTION: Final = (
    "Demonstration release, trained on images drawn by a program. It is not a wildlife model: its species are drawings "
    "that carry animals' names, it has never seen a photograph, and its answers on real images mean nothing."
)


def demonstration_season(species: tuple[str, ...]) -> dict[str, Any]:
    """Give the arguments of the training season's ``SeasonPlan``; every species weighs the same."""
    return {**SEASON, "species_weights": dict.fromkeys(species, 1.0)}


def demonstration_spec(season: Path, groups: dict[str, tuple[str, ...]]) -> TrainingSpec:
    """Say how the demonstration release is trained on a drawn season; about 25 minutes on one core.

    Args:
        season: folder the season was drawn into.
        groups: expert group to its species, as the simulator names them.
    """
    drawn = {name: list(value) if isinstance(value, tuple) else value for name, value in SEASON.items()}
    return TrainingSpec(
        name="demonstration",
        description=DESCRIPTION,
        dataset=DatasetSource(format="fieldsim", url=str(season)),
        groups=groups,
        split=SplitRule(by="site", validation=0.12, test=0.18, seed=1),
        preset="demo",
        input_size=320,
        effort=Effort(global_epochs=16, expert_epochs=6, batch=16, background_per_image=1.5),
        seed=1,
        lineage={"simulated_season": {**drawn, "species_weights": "1.0 each"}},
    )
