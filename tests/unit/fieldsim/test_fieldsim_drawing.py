"""What is drawn is where the truth says it is, and look-alikes differ where they should."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from varanger.fieldsim import CLASSES, EXPERT_GROUPS, NOT_ANIMALS, SPECIES, Species, twelve_megapixel
from varanger.fieldsim.drawing.figure import draw_figure, enter
from varanger.fieldsim.drawing.light import day_light, flash_light
from varanger.fieldsim.drawing.looks import LOOKS
from varanger.fieldsim.drawing.scene import Scene
from varanger.fieldsim.drawing.site import Site, draw_site
from varanger.fieldsim.main import draw_event
from varanger.fieldsim.schedule import PlannedEvent

SIZE = (320, 240)


@pytest.fixture(scope="module")
def site() -> Site:
    return draw_site(np.random.default_rng(4), SIZE)


def test_groups_cover_each_species_once() -> None:
    grouped = [name for group in EXPERT_GROUPS.values() for name in group]
    assert sorted(grouped) == sorted(species.name for species in SPECIES)
    assert all(species.name in EXPERT_GROUPS[species.group] for species in SPECIES)
    assert set(CLASSES) == set(grouped) | set(NOT_ANIMALS)
    assert any(species.rare for species in SPECIES)


def test_lookalikes_are_mutual_and_of_one_group() -> None:
    by_name = {species.name: species for species in SPECIES}
    pairs = [species for species in SPECIES if species.lookalike]
    assert len(pairs) == 6
    for species in pairs:
        assert species.lookalike is not None
        other = by_name[species.lookalike]
        assert (other.lookalike, other.group) == (species.name, species.group)
        assert LOOKS[species.name] != LOOKS[other.name]


@pytest.mark.parametrize("night", [False, True])
@pytest.mark.parametrize("taxon", CLASSES)
def test_boxes_bound_the_pixels_that_changed(site: Site, taxon: str, night: bool) -> None:
    """Without wind, grain and shadow's soft edge, a frame differs from the empty one only around the box."""
    random = np.random.default_rng(12)
    light = flash_light(random, site) if night else day_light(random, site, 12.0)
    scene = Scene(site, replace(light, grain=0.0), strip=12)
    actor = enter(taxon, random, night=night)
    empty = scene.frame([], np.random.default_rng(1), wind=0.0)
    shown = scene.frame([actor], np.random.default_rng(1), wind=0.0)
    assert empty.boxes == ()
    (box,) = shown.boxes
    assert box.taxon == taxon
    left, top = round(box.x_min * SIZE[0]), round(box.y_min * SIZE[1])
    right, bottom = left + round(box.width * SIZE[0]), top + round(box.height * SIZE[1])
    assert 0 <= left < right <= SIZE[0]
    assert 0 <= top < bottom <= SIZE[1] - 12
    difference = np.abs(shown.pixels.astype(int) - empty.pixels)
    difference = difference.max(axis=2) if difference.ndim == 3 else difference
    difference[SIZE[1] - 12 :] = 0
    above = np.flatnonzero((difference > 4).any(axis=1))[0]
    assert abs(int(above) - top) <= 2
    changed = difference > 24
    outside = changed.copy()
    outside[max(0, top - 2) :, max(0, left - 2) : right + 2] = False
    assert outside.sum() <= 0.03 * changed.sum()


def test_box_edges_touch_the_figure(site: Site) -> None:
    actor = replace(enter("red_deer", np.random.default_rng(2), night=False), x=0.5, nearness=0.4, size=0.7)
    bare = replace(site, cover=np.zeros_like(site.cover), front_alpha=np.zeros_like(site.front_alpha))
    figure = draw_figure(actor, bare)
    scene = Scene(bare, day_light(np.random.default_rng(3), bare, 12.0), strip=0)
    (box,) = scene.frame([actor], np.random.default_rng(1), wind=0.0).boxes
    solid = figure.alpha > 0.5
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    assert box.x_min * SIZE[0] == pytest.approx(figure.left + columns[0])
    assert box.y_min * SIZE[1] == pytest.approx(figure.top + rows[0])
    assert box.width * SIZE[0] == pytest.approx(columns[-1] - columns[0] + 1)
    assert box.height * SIZE[1] == pytest.approx(rows[-1] - rows[0] + 1)


def test_what_covers_an_animal_shortens_its_box(site: Site) -> None:
    actor = replace(enter("wild_boar", np.random.default_rng(2), night=False), x=0.5, nearness=0.4)
    open_ground = replace(site, cover=np.zeros_like(site.cover), front_alpha=np.zeros_like(site.front_alpha))
    light = day_light(np.random.default_rng(3), site, 12.0)
    (whole,) = Scene(open_ground, light, 0).frame([actor], np.random.default_rng(1), wind=0.0).boxes
    cover = np.zeros_like(site.cover)
    cover[:, : round((whole.x_min + whole.width / 3) * SIZE[0])] = 1.0
    behind = replace(open_ground, cover=cover)
    (part,) = Scene(behind, light, 0).frame([actor], np.random.default_rng(1), wind=0.0).boxes
    assert part.x_min == pytest.approx(whole.x_min + whole.width / 3, abs=2 / SIZE[0])
    assert part.x_min + part.width == pytest.approx(whole.x_min + whole.width)


def test_the_nearer_animal_stands_before_the_farther(site: Site) -> None:
    random = np.random.default_rng(5)
    near = replace(enter("red_deer", random, night=False), x=0.5, nearness=0.8, turn=1.0)
    hidden = replace(enter("hare", random, night=False), x=0.5, nearness=0.7, size=0.5)
    scene = Scene(site, day_light(random, site, 12.0), strip=0)
    frame = scene.frame([near, near], random, wind=0.0)
    assert len(frame.boxes) == 1, "two figures on the same spot cannot both be seen"
    first_is_shown = scene.frame([hidden, near], random, wind=0.0)
    assert "hare" in {box.taxon for box in first_is_shown.boxes}


def test_sites_differ_and_stay(site: Site) -> None:
    again, other = draw_site(np.random.default_rng(4), SIZE), draw_site(np.random.default_rng(5), SIZE)
    assert np.array_equal(site.background, again.background)
    assert np.abs(site.background - other.background).mean() > 5


@pytest.mark.parametrize("species", [species for species in SPECIES if species.lookalike])
def test_lookalikes_drawn_alike_still_differ(site: Site, species: Species) -> None:
    name, other = species.name, species.lookalike
    actor = replace(enter(name, np.random.default_rng(6), night=False), nearness=0.6)
    one, two = (_grey(draw_figure(replace(actor, taxon=taxon), site).colours, (64, 48)) for taxon in (name, other))
    assert np.abs(one - two).mean() > 2


def _grey(colours: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8)).convert("L").resize(size)
    return np.asarray(image, np.float32)


def test_blanks_move_in_the_wind_alone(site: Site) -> None:
    blank = PlannedEvent(0, 0, "activityDetection", (), (False, False), datetime(2025, 6, 1, 12))
    frames = list(draw_event(blank, site, 0, np.random.default_rng(8)))
    assert all(frame.boxes == () for frame in frames)
    assert not np.array_equal(frames[0].pixels, frames[1].pixels)


def test_large_photos_have_their_size_and_repeat(tmp_path: Path) -> None:
    first = twelve_megapixel(tmp_path / "a", 2, seed=3, size=(1200, 900))
    second = twelve_megapixel(tmp_path / "b", 2, seed=3, size=(1200, 900))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[0].read_bytes() != first[1].read_bytes()
    (large,) = twelve_megapixel(tmp_path / "c")
    assert large.stat().st_size > 1_500_000
    with Image.open(large) as image:
        assert image.size == (4000, 3000)
    with pytest.raises(ValueError, match="-1"):
        twelve_megapixel(tmp_path, -1)
