"""Draws one four-legged animal from its look and pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from varanger.fieldsim.drawing.brush import Brush, Paint, Point
from varanger.fieldsim.drawing.look import Look


@dataclass(frozen=True)
class Pose:
    """What an animal does in one frame.

    Attributes:
        stride: Phase of the gait in radians.
        step: How far the legs swing, 0 standing.
        neck: Added to the neck's angle in radians; strongly negative is grazing.
        head: Angle of the head above level in radians.
        male: Whether it carries what males carry.
        fade: Added to every colour of the coat: this individual's shade (red, green, blue).
        night: Whether the flash makes its eye shine.
    """

    stride: float
    step: float
    neck: float
    head: float
    male: bool
    fade: tuple[float, float, float]
    night: bool


REACH = (-1.6, 2.1, -0.1, 2.4)
"""Least x, most x, least y and most y of any animal, in body lengths."""


def draw_animal(brush: Brush, look: Look, pose: Pose, random: np.random.Generator) -> None:
    """Draws the far legs first and the head last."""
    hip_y, shoulder_y = look.leg + look.hip * 0.8, look.leg + look.shoulder * 0.85
    far = -38.0
    _leg(brush, look, pose, (0.1, hip_y), pose.stride + np.pi, lift=far, hind=True)
    _leg(brush, look, pose, (0.97, shoulder_y), pose.stride, lift=far, hind=False)
    _tail(brush, look, pose, hip_y)
    _trunk(brush, look, pose, (hip_y, shoulder_y), random)
    _leg(brush, look, pose, (0.03, hip_y), pose.stride, lift=0.0, hind=True)
    _leg(brush, look, pose, (0.92, shoulder_y), pose.stride + np.pi, lift=0.0, hind=False)
    _rump(brush, look, pose, hip_y)
    _head(brush, look, pose, shoulder_y)


def _paint(colour: Paint, pose: Pose, lift: float = 0.0) -> Paint:
    values = [int(min(255, max(4, value + fade + lift))) for value, fade in zip(colour, pose.fade, strict=True)]
    return values[0], values[1], values[2]


def _faded(look: Look, pose: Pose, fading: float) -> Paint:
    """The colour of spots that have faded into the coat: some individuals show them clearly, some barely."""
    mixed = [int(spot + (coat - spot) * fading) for spot, coat in zip(look.spot, look.coat, strict=True)]
    return _paint((mixed[0], mixed[1], mixed[2]), pose)


def _leg(brush: Brush, look: Look, pose: Pose, joint: Point, phase: float, *, lift: float, hind: bool) -> None:
    swing = pose.step * float(np.sin(phase))
    raised = max(0.0, pose.step * float(np.cos(phase))) * 0.22 * look.leg
    bend = -0.14 if hind else 0.05
    top_width = (look.hip if hind else look.shoulder) * 0.95
    knee = (joint[0] + swing * 0.5 * look.leg + bend * look.leg, look.leg * 0.52 + raised)
    foot = (joint[0] + swing * look.leg, look.leg_width * 0.4 + raised)
    ankle = ((knee[0] + foot[0]) / 2, (knee[1] + foot[1]) / 2)
    brush.limb([joint, knee], [top_width, look.leg_width * 1.35], _paint(look.legs, pose, lift))
    brush.limb([knee, ankle], [look.leg_width * 1.35, look.leg_width], _paint(look.legs, pose, lift))
    toe = (foot[0] + look.leg_width * 0.7, foot[1])
    brush.limb(
        [ankle, foot, toe],
        [look.leg_width * 1.05] * 2 + [look.leg_width * 0.8],
        _paint(look.socks, pose, lift),
    )


def _tail(brush: Brush, look: Look, pose: Pose, hip_y: float) -> None:
    sway = 0.12 * float(np.sin(pose.stride * 0.7))
    along = np.linspace(0, 1, 6)
    angle = look.tail_angle + sway + along * 0.25
    x = -look.hip * 0.75 - look.tail * along * np.cos(angle)
    y = hip_y + look.hip * 0.35 + look.tail * along * np.sin(angle)
    bulge = 0.55 + 0.6 * np.sin(np.pi * np.clip(along * 0.95 + 0.05, 0, 1))
    joints = list(zip(x.tolist(), np.maximum(y, look.tail_width * 0.5).tolist(), strict=True))
    widths = (look.tail_width * bulge).tolist()
    brush.limb(joints[:5], widths[:5], _paint(look.back, pose))
    brush.limb(joints[4:], [widths[4], widths[5] * 0.9], _paint(look.tail_tip, pose))


def _trunk(brush: Brush, look: Look, pose: Pose, heights: tuple[float, float], random: np.random.Generator) -> None:
    hip_y, shoulder_y = heights
    h, m, s = look.hip, look.middle, look.shoulder
    middle_y = (hip_y + shoulder_y) / 2
    back = [(-h * 0.5, hip_y + h * 0.82), (0.2, hip_y + h), (0.5, middle_y + m), (0.8, shoulder_y + s * 0.98)]
    chest = [(1.0, shoulder_y + s * 0.95), (1 + s * 0.8, shoulder_y), (1.0, shoulder_y - s * 0.9)]
    below = [(0.78, shoulder_y - s), (0.5, middle_y - m), (0.2, hip_y - h * 0.7), (-h * 0.5, hip_y - h * 0.8)]
    brush.smooth([(-h * 0.95, hip_y), *back, *chest, *below], _paint(look.back, pose))
    flank = [(x, y - 0.09) for x, y in back]
    brush.smooth(
        [(-h * 0.85, hip_y - 0.04), *flank, (1.0, shoulder_y + s * 0.6), *chest[1:], *below],
        _paint(look.coat, pose),
    )
    brush.smooth(
        [*below, (0.2, hip_y - h * 0.45), (0.5, middle_y - m * 0.55), (0.8, shoulder_y - s * 0.6)],
        _paint(look.belly, pose),
    )
    paint = _faded(look, pose, random.uniform(0.0, 0.75))
    for _ in range(look.spots):
        x = random.uniform(0.0, 0.98)
        thick = h * (1 - x) + s * x
        y = hip_y * (1 - x) + shoulder_y * x + random.uniform(-0.35, 0.75) * thick
        radius = random.uniform(0.018, 0.03)
        brush.blob((x, y), radius * 1.25, radius, paint)


def _rump(brush: Brush, look: Look, pose: Pose, hip_y: float) -> None:
    if look.rump is None:
        return
    x, y = -look.hip * 0.62, hip_y + look.hip * 0.1
    brush.blob((x, y), look.hip * 0.4, look.hip * 0.6, _paint(look.rump, pose))
    brush.limb(
        [(x - 0.03, y + look.hip * 0.5), (x - 0.05, y + look.hip * 0.5 - look.tail)],
        [look.tail_width, look.tail_width * 0.7],
        _paint(look.tail_tip, pose),
    )


def _head(brush: Brush, look: Look, pose: Pose, shoulder_y: float) -> None:
    angle = look.neck_angle + pose.neck
    base = (1.0, shoulder_y + look.shoulder * 0.25)
    crown = (base[0] + look.neck * np.cos(angle) + look.shoulder * 0.3, base[1] + look.neck * np.sin(angle))
    crown = (float(crown[0]), max(look.head * 1.2, float(crown[1])))
    coat, back = _paint(look.coat, pose), _paint(look.back, pose)
    tilt = pose.head + (pose.neck * 0.45 if pose.neck < 0 else 0.0)
    forward = (float(np.cos(tilt)), float(np.sin(tilt)))
    brush.limb([base, crown], [look.neck_width * 1.5, look.neck_width], coat)
    _ear(brush, look, pose, crown, tilt, forward=0.42, paint=back)
    if pose.male and look.antlers in ("pointed", "shovel"):
        _antlers(brush, look, crown, tilt)
    brush.blob(crown, look.head * 1.1, look.head, coat, tilt)
    nose = (crown[0] + look.snout * forward[0], crown[1] + look.snout * forward[1])
    half = (crown[0] + 0.55 * look.snout * forward[0], crown[1] + 0.55 * look.snout * forward[1])
    brush.limb([crown, nose], [look.head * 1.5, look.snout_width], coat)
    brush.limb([half, nose], [look.head * 0.75, look.snout_width], _paint(look.muzzle, pose))
    brush.blob(nose, min(0.04, look.snout_width * 0.4), min(0.04, look.snout_width * 0.4), (24, 20, 20))
    if pose.male and look.antlers == "tusks":
        tip = (nose[0] - 0.02, nose[1] + 0.1)
        brush.limb([(half[0] + 0.04, half[1] - 0.04), tip], [0.05, 0.015], (232, 226, 208))
    _ear(brush, look, pose, crown, tilt, forward=0.0, paint=coat)
    eye = (crown[0] + look.head * 0.42 * forward[0], crown[1] + look.head * (0.42 * forward[1] + 0.3))
    size = look.head * (0.2 if pose.night else 0.15)
    brush.blob(eye, size, size, (255, 255, 255) if pose.night else (16, 12, 12))


def _ear(brush: Brush, look: Look, pose: Pose, crown: Point, tilt: float, *, forward: float, paint: Paint) -> None:
    angle = tilt + 2.05 - forward
    root = (crown[0] + look.head * 0.75 * np.cos(angle), crown[1] + look.head * 0.75 * np.sin(angle))
    along = [
        (float(root[0] + look.ear * t * np.cos(angle)), float(root[1] + look.ear * t * np.sin(angle)))
        for t in (0, 0.4, 0.72, 1)
    ]
    widths = [look.ear_width * 0.7, look.ear_width, look.ear_width * 0.75, look.ear_width * 0.25]
    brush.limb(along[:3], widths[:3], paint)
    brush.limb(along[2:], widths[2:], _paint(look.ear_tip, pose))


def _antlers(brush: Brush, look: Look, crown: Point, tilt: float) -> None:
    bone = (164, 142, 112)
    for lean, shade in ((0.35, -30), (0.0, 0)):
        paint = (bone[0] + shade, bone[1] + shade, bone[2] + shade)
        angle = tilt + 1.75 - lean
        along = np.linspace(0, 0.62, 5)
        curve = angle + 0.55 * np.sin(along / 0.62 * np.pi)
        x, y = crown[0] + along * np.cos(curve), crown[1] + look.head * 0.6 + along * np.sin(curve)
        beam = list(zip(x.tolist(), y.tolist(), strict=True))
        brush.limb(beam, [0.06, 0.055, 0.05, 0.045, 0.03], paint)
        if look.antlers == "shovel":
            brush.blob(((x[3] + x[4]) / 2, (y[3] + y[4]) / 2), 0.12, 0.2, paint, angle - 1.4)
        for joint in (1, 2, 3) if look.antlers == "pointed" else (1,):
            tip = (x[joint] + 0.22 * np.cos(tilt + 0.75), y[joint] + 0.22 * np.sin(tilt + 0.75))
            brush.limb([beam[joint], (float(tip[0]), float(tip[1]))], [0.04, 0.015], paint)
