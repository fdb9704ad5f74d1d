"""An actor of an event and its drawn figure in one frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from varanger.fieldsim.drawing.animal import REACH, Pose, draw_animal
from varanger.fieldsim.drawing.brush import Brush, Stance
from varanger.fieldsim.drawing.light import Light
from varanger.fieldsim.drawing.looks import LOOKS
from varanger.fieldsim.drawing.noise import Field, smooth_noise
from varanger.fieldsim.drawing.people import (
    PERSON_REACH,
    PERSON_SIZE,
    VEHICLE_REACH,
    VEHICLE_SIZE,
    draw_person,
    draw_vehicle,
)
from varanger.fieldsim.drawing.site import Site

FAR_SCALE: Final = 0.32
"""How large a thing at the horizon is drawn, compared with the same thing at the bottom edge."""

NIGHT_SHINE: Final = 1.55
"""How much brighter than the ground the flash shows a coat of the same colour."""


@dataclass(frozen=True)
class Actor:
    """One animal, person or vehicle in one frame of an event.

    Attributes:
        taxon: Its class.
        seed: Fixes what belongs to the individual and not to the frame: spots, clothes, fur.
        x: Where its middle stands, as a share of the image width.
        nearness: 0 at the horizon, 1 at the bottom edge.
        speed: Change of `x` from frame to frame; negative goes left.
        size: Its own size, 1 the usual.
        turn: How broadside it stands, 0.5 to 1.
        pose: Its posture in this frame.
    """

    taxon: str
    seed: int
    x: float
    nearness: float
    speed: float
    size: float
    turn: float
    pose: Pose


@dataclass(frozen=True)
class Figure:
    """A drawn actor.

    Attributes:
        actor: Whose figure it is.
        colours: float32 [height, width, 3], 0–255, in even light.
        alpha: float32 [height, width], 0–1.
        left, top: Image position of its first pixel; may lie outside.
        foot: Image row its feet stand on.
    """

    actor: Actor
    colours: Field
    alpha: Field
    left: int
    top: int
    foot: int


def enter(taxon: str, random: np.random.Generator, *, night: bool) -> Actor:
    """A new actor somewhere in the scene, in a posture of its own."""
    look = LOOKS.get(taxon)
    nearest = look.nearest if look else 0.15
    shade, hue = random.normal(0, look.variety if look else 0.0), random.normal(0, 4.0, 3)
    walks = random.random() < 0.65
    grazes = random.random() < 0.3
    pose = Pose(
        stride=float(random.uniform(0, 2 * np.pi)),
        step=float(random.uniform(0.25, 0.6)) if walks else 0.08,
        neck=float(random.uniform(-1.7, -1.0)) if grazes else float(random.normal(0, 0.15)),
        head=float(random.normal(-0.25, 0.18)),
        male=bool(random.random() < 0.5),
        fade=(float(shade + hue[0]), float(shade + hue[1]), float(shade + hue[2])),
        night=night,
    )
    return Actor(
        taxon=taxon,
        seed=int(random.integers(2**31)),
        x=float(random.uniform(0.12, 0.88)),
        nearness=float(nearest + (0.97 - nearest) * random.beta(1.3, 1.3)),
        speed=float(random.choice((-1, 1)) * (random.uniform(0.02, 0.12) if walks else 0.004)),
        size=float(random.normal(1.0, 0.07)),
        turn=float(random.uniform(0.62, 1.0)),
        pose=pose,
    )


def step(actor: Actor, frames: int, random: np.random.Generator) -> Actor:
    """The same individual some frames later (or earlier), moved on and with its head turned a little."""
    pose = replace(
        actor.pose,
        stride=actor.pose.stride + 1.1 * frames * (1.0 if abs(actor.speed) > 0.01 else 0.2),
        neck=actor.pose.neck + float(random.normal(0, 0.12)),
        head=actor.pose.head + float(random.normal(0, 0.1)),
    )
    x = float(np.clip(actor.x + actor.speed * frames + random.normal(0, 0.004), 0.04, 0.96))
    return replace(actor, x=x, pose=pose)


def draw_figure(actor: Actor, site: Site) -> Figure:
    """Draws an actor at its place in a site.

    Raises:
        RuntimeError: If the figure is too small to leave a single pixel.
    """
    width, height = site.size
    scale = (FAR_SCALE + (1 - FAR_SCALE) * actor.nearness) * actor.size * height
    random = np.random.default_rng(actor.seed)
    tilt = float(random.normal(0, 0.04))
    left = actor.speed < 0
    if actor.taxon == "person":
        brush = Brush(Stance(PERSON_SIZE * scale, 1.0, left, tilt / 2), PERSON_REACH)
        draw_person(brush, actor.pose.stride, random)
    elif actor.taxon == "vehicle":
        brush = Brush(Stance(VEHICLE_SIZE * scale, actor.turn, left, tilt / 2), VEHICLE_REACH)
        draw_vehicle(brush, random)
    else:
        look = LOOKS[actor.taxon]
        brush = Brush(Stance(look.size * scale, actor.turn, left, tilt), REACH)
        draw_animal(brush, look, actor.pose, random)
    drawn = brush.sprite()
    if drawn is None:
        raise RuntimeError(f"nothing was drawn of {actor.taxon} at scale {scale:.1f}")
    sheet, origin = drawn
    pixels = sheet.astype(np.float32)
    foot = int(site.horizon + actor.nearness * (height - site.horizon))
    middle = 0.5 if actor.taxon not in ("person", "vehicle") else 0.0
    body = middle * (LOOKS[actor.taxon].size if middle else 0.0) * scale * actor.turn * (-1 if left else 1)
    return Figure(
        actor=actor,
        colours=pixels[..., :3] * _fur(random, pixels.shape[1], pixels.shape[0]),
        alpha=pixels[..., 3] / np.float32(255),
        left=round(actor.x * width - body - origin[0]),
        top=round(foot - origin[1]),
        foot=foot,
    )


def _fur(random: np.random.Generator, width: int, height: int) -> Field:
    """Shading [height, width, 1]: lighter above than below, with the unrest of fur."""
    above = np.linspace(1.12, 0.78, height, dtype=np.float32)[:, None]
    hair = 0.86 + 0.28 * smooth_noise(random, (width, height), (max(2, width // 4), max(2, height // 3)))
    return (above * hair)[..., None].astype(np.float32)


def lit(figure: Figure, light: Light, size: tuple[int, int]) -> Field:
    """The figure's colours in a light: [height, width, 3], or [height, width, 1] if the light is grey."""
    width, height = size
    row = min(max(figure.foot - 2, 0), height - 1)
    column = min(max(figure.left + figure.alpha.shape[1] // 2, 0), width - 1)
    # fur throws infrared back better than soil and leaves do
    shine = NIGHT_SHINE if light.grey else 1.0
    gain = np.full(figure.alpha.shape, light.gain[row, column] * shine, np.float32)
    haze = np.full(figure.alpha.shape, light.haze[row], np.float32)
    return light.on(figure.colours, gain, haze)
