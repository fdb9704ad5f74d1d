"""Puts site, light and actors together into frames, and says what is truly visible in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from varanger.fieldsim.drawing.figure import Actor, Figure, draw_figure, lit
from varanger.fieldsim.drawing.light import Light, grain
from varanger.fieldsim.drawing.noise import Bytes, Field
from varanger.fieldsim.drawing.site import Site
from varanger.fieldsim.season import TrueBox

Mask: TypeAlias = NDArray[np.bool_]

LEAST_VISIBLE: Final = 0.45
"""Share of a figure's own pixels that must be seen, else the actor is left out of the frame."""
_TRIES: Final = 8


@dataclass(frozen=True)
class Frame:
    """One image before it is encoded.

    Attributes:
        pixels: uint8 [height, width, 3], or [height, width] by night.
        boxes: What is visible, nearest first.
    """

    pixels: Bytes
    boxes: tuple[TrueBox, ...]


class Scene:
    """One event at a site: the lit background is made once, each frame adds actors, wind and grain."""

    def __init__(self, site: Site, light: Light, strip: int) -> None:
        """`strip` is the height in rows of the information strip that will hide the bottom of the image."""
        height = site.background.shape[0]
        self._site = site
        self._light = light
        self._floor = height - strip
        haze = np.broadcast_to(light.haze[:, None], light.gain.shape)
        self._view = light.on(site.background, light.gain, haze)
        rows = slice(site.front_top, height)
        # plants before the lens are premultiplied: no haze, which would add light outside them
        self._front = light.on(site.front, light.gain[rows], np.zeros_like(haze[rows]))

    def frame(self, actors: Sequence[Actor], random: np.random.Generator, *, wind: float) -> Frame:
        """Draws the actors that can be seen; at least the first one always can.

        Args:
            actors: Who is there; the first is moved until enough of it is visible.
            random: Source of grain, wind and such moves.
            wind: How far the plants before the lens bend, in pixels.
        """
        front, alpha = self._bend(random, wind)
        shown = self._place(actors, alpha, random)
        pixels = self._view.copy()
        for figure, mask in reversed(shown):
            self._cast_shadow(pixels, figure)
            self._paint(pixels, figure, mask)
        behind = pixels[self._site.front_top :]
        behind *= 1 - alpha
        behind += front
        pixels += grain(random, self._site.size, self._light.grain)
        image = np.clip(pixels, 0, 255).astype(np.uint8)
        boxes = tuple(self._box(figure, self._seen(figure, mask, alpha)) for figure, mask in shown)
        return Frame(image[..., 0] if self._light.grey else image, boxes)

    def _bend(self, random: np.random.Generator, wind: float) -> tuple[Field, Field]:
        rows, width, _ = self._front.shape
        height_above = np.linspace(1, 0, rows) ** 1.5
        shift = np.rint(wind * random.normal(0, 1) * height_above).astype(np.intp)
        columns = (np.arange(width)[None, :] - shift[:, None]) % width
        lines = np.arange(rows)[:, None]
        return self._front[lines, columns], self._site.front_alpha[lines, columns]

    def _place(self, actors: Sequence[Actor], alpha: Field, random: np.random.Generator) -> list[tuple[Figure, Field]]:
        """Figures with the alpha that nearer figures, trunks and rocks leave of them, nearest first."""
        if not actors:
            return []
        first = actors[0]
        for attempt in range(_TRIES):
            figure = draw_figure(first, self._site)
            kept = self._stack([figure, *(draw_figure(actor, self._site) for actor in actors[1:])], alpha)
            if any(shown is figure for shown, _ in kept):
                return kept
            nearness = first.nearness if attempt < _TRIES // 2 else min(0.9, first.nearness + 0.1)
            first = replace(first, x=float(random.uniform(0.2, 0.8)), nearness=nearness)
        # nowhere to be seen: it stands alone, before everything that hid it
        figure = draw_figure(replace(first, x=0.5), self._site)
        return [(figure, figure.alpha)]

    def _stack(self, figures: Sequence[Figure], alpha: Field) -> list[tuple[Figure, Field]]:
        taken = np.zeros(self._site.cover.shape, np.float32)
        kept: list[tuple[Figure, Field]] = []
        for figure in sorted(figures, key=lambda figure: -figure.actor.nearness):
            image, own = self._overlap(figure)
            mask = np.zeros_like(figure.alpha)
            hidden = np.maximum(taken[image], self._site.cover[image] > figure.actor.nearness)
            mask[own] = figure.alpha[own] * (1 - hidden)
            if self._seen(figure, mask, alpha).sum() < LEAST_VISIBLE * (figure.alpha > 0.5).sum():
                continue
            taken[image] = np.maximum(taken[image], figure.alpha[own])
            kept.append((figure, mask))
        return kept

    def _overlap(self, figure: Figure) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The same pixels as slices of the image and of the figure; empty where they do not meet."""
        height, width = self._site.cover.shape
        rows, columns = figure.alpha.shape
        top, left = min(max(figure.top, 0), height), min(max(figure.left, 0), width)
        bottom = max(top, min(figure.top + rows, height))
        right = max(left, min(figure.left + columns, width))
        image = (slice(top, bottom), slice(left, right))
        own = (slice(top - figure.top, bottom - figure.top), slice(left - figure.left, right - figure.left))
        return image, own

    def _seen(self, figure: Figure, mask: Field, alpha: Field) -> Mask:
        """Pixels [height, width] of the figure that show it and nothing else more than it."""
        (rows, columns), own = self._overlap(figure)
        left_over = np.zeros_like(mask)
        left_over[own] = mask[own]
        top = self._site.front_top
        if rows.stop > top:
            first = max(rows.start, top)
            part = (slice(first - figure.top, rows.stop - figure.top), own[1])
            left_over[part] *= 1 - alpha[first - top : rows.stop - top, columns, 0]
        if rows.stop > self._floor:
            left_over[max(0, self._floor - figure.top) :] = 0
        return left_over > 0.5

    def _box(self, figure: Figure, seen: Mask) -> TrueBox:
        height, width = self._site.cover.shape
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        return TrueBox(
            taxon=figure.actor.taxon,
            x_min=(figure.left + int(columns[0])) / width,
            y_min=(figure.top + int(rows[0])) / height,
            width=int(columns[-1] - columns[0] + 1) / width,
            height=int(rows[-1] - rows[0] + 1) / height,
        )

    def _paint(self, pixels: Field, figure: Figure, mask: Field) -> None:
        image, own = self._overlap(figure)
        share = mask[own][..., None]
        colours = lit(figure, self._light, self._site.size)[own]
        pixels[image] += (colours - pixels[image]) * share

    def _cast_shadow(self, pixels: Field, figure: Figure) -> None:
        """A soft dark patch under the feet; no part of the figure."""
        height, width = self._site.cover.shape
        wide = figure.alpha.shape[1]
        tall = max(3, wide // 7)
        top, left = figure.foot - tall // 2, figure.left
        rows = np.arange(max(0, top), min(height, top + tall))
        columns = np.arange(max(0, left), min(width, left + wide))
        if not rows.size or not columns.size:
            return
        y = (rows[:, None] - figure.foot) / (tall / 2)
        x = (columns[None, :] - left - wide / 2) / (wide / 2)
        dark = np.clip(1 - x * x - y * y, 0, 1) * (0.25 if self._light.grey else 0.5)
        pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] *= (1 - dark)[..., None].astype(np.float32)
