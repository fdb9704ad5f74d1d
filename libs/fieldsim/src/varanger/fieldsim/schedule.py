"""Decides what happens where and when in a season, before anything is drawn. Pure: numbers in, plans out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Final

import numpy as np
from varanger.fieldsim.plan import SeasonPlan
from varanger.fieldsim.season import CaptureMethod
from varanger.fieldsim.species import SPECIES

SLOT: Final = timedelta(minutes=5)
"""Events of one camera start in different slots, so that no two bursts touch."""

SUNRISE: Final = 6
SUNSET: Final = 20
_SLOTS_A_DAY: Final = timedelta(days=1) // SLOT
_TIME_LAPSE_HOURS: Final = (12, 0, 6, 18, 9, 15, 21, 3)
_LEAVES_EARLY: Final = 0.35
_TIME_LAPSE_SHOWS_ANIMAL: Final = 0.08


@dataclass(frozen=True)
class PlannedEvent:
    """One burst or time-lapse image.

    Attributes:
        site: Number of the site, from 0.
        number: Number of the event in the season; its randomness follows from seed and number.
        method: What made the camera take it.
        actors: Taxa in front of the camera; empty for a blank.
        shows: For each frame whether the actors are still there.
        begins: Naive camera-local time of the first frame.
    """

    site: int
    number: int
    method: CaptureMethod
    actors: tuple[str, ...]
    shows: tuple[bool, ...]
    begins: datetime

    @property
    def night(self) -> bool:
        """Whether the flash is needed."""
        return not SUNRISE <= self.begins.hour < SUNSET


def plan_events(plan: SeasonPlan) -> tuple[PlannedEvent, ...]:
    """All events of a season, in order of site and time; their frames sum up to `plan.images`."""
    random = np.random.default_rng((plan.seed, 0))
    tastes = _site_tastes(plan, random)
    events = [*_triggered(plan, tastes, random), *_time_lapse(plan, tastes, random)]
    placed = [event for site in range(plan.sites) for event in _give_times(plan, site, events, random)]
    ordered = sorted(placed, key=lambda event: (event.site, event.begins))
    return tuple(replace(event, number=number) for number, event in enumerate(ordered))


def season_days(plan: SeasonPlan) -> int:
    """Days the season lasts: as planned, or longer where the busiest site would have no room."""
    busiest = plan.images  # bounds the events of any one site
    return max(plan.days, -(-busiest * 4 // (_SLOTS_A_DAY * max(1, plan.sites))) + 1)


def _site_tastes(plan: SeasonPlan, random: np.random.Generator) -> np.ndarray:
    """Probabilities [sites, species]: each site has its own mix of the same species."""
    weights = np.array([plan.species_weights.get(kind.name, kind.commonness) for kind in SPECIES])
    if not weights.sum():
        raise ValueError("species_weights leave no species to draw")
    tastes = weights * random.lognormal(0.0, 0.4, (plan.sites, len(SPECIES)))
    return np.asarray(tastes / tastes.sum(axis=1, keepdims=True))


def _budgets(plan: SeasonPlan) -> tuple[int, int, int, int]:
    """Frames: triggered with actors, triggered blank, time-lapse with actors, time-lapse blank."""
    blank = round(plan.images * plan.blank_share)
    shown = plan.images - blank
    lapse = round(plan.images * plan.time_lapse_share)
    lapse_shown = min(shown, max(round(lapse * _TIME_LAPSE_SHOWS_ANIMAL), lapse - blank))
    return shown - lapse_shown, blank - (lapse - lapse_shown), lapse_shown, lapse - lapse_shown


def _triggered(plan: SeasonPlan, tastes: np.ndarray, random: np.random.Generator) -> Iterator[PlannedEvent]:
    shown, blank, _, _ = _budgets(plan)
    people = round(shown * plan.people_share)
    animals = shown - people
    while animals or people:
        budget = people or animals
        site = int(random.integers(plan.sites))
        actors = _passers_by(random) if people else _animals(plan, tastes[site], random)
        length = min(_burst(plan, random), budget + blank)
        seen = min(length, budget)
        if seen > 1 and random.random() < _LEAVES_EARLY:
            seen -= int(random.integers(1, seen))
        empty = min(length - seen, blank)
        blank -= empty
        if people:
            people -= seen
        else:
            animals -= seen
        yield _event(site, "activityDetection", actors, (True,) * seen + (False,) * empty)
    while blank:
        length = min(_burst(plan, random), blank)
        blank -= length
        yield _event(int(random.integers(plan.sites)), "activityDetection", (), (False,) * length)


def _time_lapse(plan: SeasonPlan, tastes: np.ndarray, random: np.random.Generator) -> Iterator[PlannedEvent]:
    _, _, shown, blank = _budgets(plan)
    lucky = set(random.permutation(shown + blank)[:shown].tolist())
    for index in range(shown + blank):
        site = index % plan.sites
        actors = _animals(plan, tastes[site], random) if index in lucky else ()
        yield _event(site, "timeLapse", actors, (bool(actors),))


def _event(
    site: int, method: CaptureMethod, actors: tuple[str, ...], shows: tuple[bool, ...]
) -> PlannedEvent:
    return PlannedEvent(site, 0, method, actors, shows, datetime.min)


def _burst(plan: SeasonPlan, random: np.random.Generator) -> int:
    shortest, longest = plan.burst_length
    return int(random.integers(shortest, longest + 1))


def _passers_by(random: np.random.Generator) -> tuple[str, ...]:
    return (("person",), ("person",), ("person", "person"), ("vehicle",))[int(random.integers(4))]


def _animals(plan: SeasonPlan, taste: np.ndarray, random: np.random.Generator) -> tuple[str, ...]:
    first = SPECIES[int(random.choice(len(SPECIES), p=taste))]
    if random.random() >= plan.company_share:
        return (first.name,)
    if first.most_together > 1 and random.random() < 0.7:
        return (first.name,) * int(random.integers(2, first.most_together + 1))
    return (first.name, SPECIES[int(random.choice(len(SPECIES), p=taste))].name)


def _give_times(
    plan: SeasonPlan, site: int, events: list[PlannedEvent], random: np.random.Generator
) -> Iterator[PlannedEvent]:
    """Gives each event of a site its own slot: time-lapse at fixed hours, triggers between them."""
    midnight = datetime.combine(plan.start, time())
    ours = [event for event in events if event.site == site]
    lapses = [event for event in ours if event.method == "timeLapse"]
    triggers = [event for event in ours if event.method == "activityDetection"]
    hours = _TIME_LAPSE_HOURS[: max(1, -(-len(lapses) // plan.days))]
    for index, event in enumerate(lapses):
        day, hour = divmod(index, len(hours))
        yield replace(event, begins=midnight + timedelta(days=day, hours=hours[hour]))

    days = max(season_days(plan), -(-len(triggers) * 4 // _SLOTS_A_DAY))
    slots = np.arange(days * _SLOTS_A_DAY)
    of_day = slots % _SLOTS_A_DAY
    free = of_day % (_SLOTS_A_DAY // 24) != 0  # the first slot of an hour belongs to the time-lapse
    dark = (of_day < SUNRISE * 12) | (of_day >= SUNSET * 12)
    nights = int(random.binomial(len(triggers), plan.night_share))
    chosen = [
        *random.choice(slots[free & dark], nights, replace=False).tolist(),
        *random.choice(slots[free & ~dark], len(triggers) - nights, replace=False).tolist(),
    ]
    for event, slot in zip(triggers, random.permutation(chosen).tolist(), strict=True):
        begins = midnight + int(slot) * SLOT + timedelta(seconds=int(random.integers(0, 200)))
        yield replace(event, begins=begins)
