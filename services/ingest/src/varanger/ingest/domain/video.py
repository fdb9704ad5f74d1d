"""A video as media: what it is, and which of its frames are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class VideoLimits:
    """What one video may cost."""

    frames_per_s: float
    """Frames that get a view, per second of the video."""
    max_frames: int
    """At most this many, spread over the whole video where it is longer."""
    timeout_s: float
    """Wall clock for decoding."""
    memory_bytes: int
    """Address space of the process that decodes."""
    max_pixels: int
    """Of one frame."""


@dataclass(frozen=True)
class Frame:
    """One sampled frame."""

    number: int
    """Its place among the video's frames as they are shown, from 0."""
    view: bytes
    """JPEG, upright, no side over 1280 pixels."""


@dataclass(frozen=True)
class Video:
    """A decoded video; its first frame's view is its poster."""

    width: int
    height: int
    """Pixels as stored, whatever its rotation."""
    duration_s: float
    frame_rate: float
    """Frames per second."""
    frames: Sequence[Frame]
    """At least one, by number."""
    rotated: bool
    """It asks to be turned, and its views are."""
    truncated: bool
    """It ends before its header says."""
    damaged: bool
    """Some frames did not decode; none of them was sampled."""


def sample_frames(count: int, frame_rate: float, *, frames_per_s: float, max_frames: int) -> list[int]:
    """Numbers of the frames to look at, out of `count`: always the first, then evenly, rising.

    Args:
        count: frames of the video, at least one.
        frame_rate: frames per second.
        frames_per_s: how many to take of each second; never more than there are.
        max_frames: at most this many; they are spread over a video that has more seconds.
    """
    step = max(1.0, frame_rate / frames_per_s, count / max_frames)
    places = (int(place * step) for place in range(max_frames))
    return [number for number in places if number < count]
