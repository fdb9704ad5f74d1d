"""The program that decodes one video, run as a process of its own by `video.py`.

FFmpeg reads hostile bytes here, under a limit of memory and of time: what crashes, hangs or swells costs one file. Only
this program imports `av` (PyAV). It is told what to do by one JSON object, its argument, and answers with one on its
output; views go to files. It ends with another status than 0 only where the machine is at fault, or the decoder
crashed.
"""

import json
import math
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import av.error
import av.logging
import av.stream
import numpy as np
import simplejpeg

from varanger.ingest.domain.video import sample_frames
from varanger.ingest.domain.view import QUALITY, fit

DECODERS = frozenset(
    (
        *("h264", "hevc", "libdav1d", "av1", "vp8", "libvpx-vp9", "vp9", "mpeg4", "mjpeg", "mjpegb", "h263", "h263p"),
        *("mpeg1video", "mpeg2video", "msmpeg4", "msmpeg4v1", "msmpeg4v2", "wmv1", "wmv2", "wmv3", "vc1", "flv"),
        *("rawvideo", "dvvideo", "svq1", "svq3", "cinepak", "huffyuv", "ffv1", "png", "prores"),
    )
)
"""FFmpeg's names of what cameras and editors write. Its other decoders, hundreds of them, never see a byte."""

_NEVER_COMPLAIN_S = 0.5
"""A header may say this much more than there is: cameras round."""


class Refused(Exception):
    """The video cannot be media."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def answer(task: dict[str, Any]) -> dict[str, Any]:
    """Decode what `task` names. Either `{"reason", "detail"}`, or all fields of a `Video`, frames by number."""
    av.logging.set_level(av.logging.PANIC)
    try:
        return _decode(task)
    except Refused as refused:
        return {"reason": refused.reason, "detail": str(refused)}
    except (MemoryError, BlockingIOError):  # the second where a thread of the decoder finds no room
        detail = f"its frames need more than {task['memory_bytes']} bytes of memory"
        return {"reason": "decompression_bomb", "detail": detail}
    except av.error.FFmpegError as error:  # its whole text names our temporary file
        return {"reason": "corrupt_video", "detail": f"it cannot be read as a video: {error.strerror}"}
    except OSError:
        raise  # the disk's own
    except Exception as error:  # PyAV raises many kinds on broken files
        return {"reason": "corrupt_video", "detail": f"it cannot be decoded: {type(error).__name__}: {error}"}


def _decode(task: dict[str, Any]) -> dict[str, Any]:
    shape = _measure(task)
    wanted = sample_frames(
        shape["count"], shape["frame_rate"], frames_per_s=task["frames_per_s"], max_frames=task["max_frames"]
    )
    numbers: list[int] = []
    rotation, damaged = 0, False
    for number, frame in _frames(task, shape["places"], wanted):
        if frame is None:
            damaged = True
            continue
        if not numbers:
            rotation = round(frame.rotation / 90) % 4
            shape["width"], shape["height"] = shape["width"] or frame.width, shape["height"] or frame.height
        _write_view(frame, rotation, Path(task["folder"]) / f"{number}.jpg")
        numbers.append(number)
    if not numbers:
        raise Refused("corrupt_video", f"none of its {shape['count']} frames can be decoded")
    return {
        **{name: shape[name] for name in ("width", "height", "duration_s", "frame_rate", "truncated")},
        "numbers": numbers,
        "rotated": rotation != 0,
        "damaged": damaged or shape["damaged"],
    }


def _open(task: dict[str, Any]) -> tuple[Any, Any]:
    """The container and its moving picture, which may be no larger than allowed.

    The format is the one its bytes were told by: FFmpeg's own guess could be a playlist that names other files.
    """
    container = av.open(
        task["path"],
        format=task["format"],
        metadata_errors="replace",
        container_options={"protocol_whitelist": "file", "codec_whitelist": ",".join(sorted(DECODERS))},
    )
    pictures = [one for one in container.streams.video if not one.disposition & av.stream.Disposition.attached_pic]
    if not pictures:
        raise Refused("unsupported_video", "there is no moving picture in it")
    stream = pictures[0]
    context = stream.codec_context
    if context is None or context.name not in DECODERS:
        raise Refused("unsupported_video", f"its encoding {context and context.name} is not decoded here")
    if context.width * context.height > task["max_pixels"]:
        detail = f"the header says {context.width} x {context.height} pixels, more than {task['max_pixels']} allowed"
        raise Refused("decompression_bomb", detail)
    context.thread_count = 1  # as many videos are decoded at a time as ingest has threads
    context.options = {"max_pixels": str(task["max_pixels"])}
    return container, stream


def _measure(task: dict[str, Any]) -> dict[str, Any]:
    """Read the video's packets without decoding: how many frames there are, when each is shown, where it ends."""
    shown: list[int] = []
    bare, end, damaged = 0, 0.0, False
    container, stream = _open(task)
    with container:
        base = float(stream.time_base or 0)
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                damaged |= packet.is_corrupt
                if packet.pts is None:
                    bare += 1
                    continue
                shown.append(packet.pts)
                end = max(end, (packet.pts + (packet.duration or 0)) * base)
        except MemoryError:
            raise
        except av.error.FFmpegError:
            damaged = True
        start = max(0.0, (stream.start_time or 0) * base)
        claimed = float(stream.duration) * base if stream.duration else (container.duration or 0) / 1e6
        rate = float(stream.average_rate or stream.guessed_rate or stream.base_rate or 0)
        listed = stream.frames
    count = len(shown) + bare
    if not count:
        raise Refused("corrupt_video", "there is no frame in it")
    there = end - start if shown and end > start else 0.0
    if not 0 < rate < 1e4:
        rate = count / there if there else 25.0
    there = there or count / rate
    truncated = max(claimed, listed / rate) - there > max(_NEVER_COMPLAIN_S, 2 / rate, 0.01 * there)
    timed = not bare and len(set(shown)) == count
    context = stream.codec_context
    return {
        "count": count,
        # Without a time of its own for each, frames are counted as the decoder gives them.
        "places": {pts: place for place, pts in enumerate(sorted(shown))} if timed else {},
        "width": context.width,
        "height": context.height,
        "frame_rate": rate,
        "duration_s": there if truncated or not 0 < claimed < math.inf else claimed,
        "truncated": truncated,
        "damaged": damaged and not truncated,
    }


def _frames(task: dict[str, Any], places: dict[int, int], wanted: list[int]) -> Iterator[tuple[int, Any]]:
    """Each wanted frame with its number, the next whole one where it is broken; None stands for broken frames met."""
    container, stream = _open(task)
    with container:
        # Where every frame stands for itself, those that nobody wants are not even decoded.
        alone = bool(stream.codec_context.codec.intra_only)
        left, given, last = list(wanted), -1, -1
        for packet in _packets(container, stream):
            if alone and packet is not None and packet.pts is not None:
                place = places.get(packet.pts)
                if place is not None and place < left[0]:
                    continue
            try:
                frames = stream.decode(packet)
            except MemoryError:
                raise
            except av.error.FFmpegError:
                yield -1, None
                continue
            if alone and packet is not None and not frames:
                yield -1, None  # Motion JPEG passes over what has no beginning without a word
            for frame in frames:
                given += 1
                known = places.get(frame.pts) if frame.pts is not None else None
                number = given if known is None else known
                if frame.is_corrupt:
                    yield -1, None
                elif number >= left[0] and number > last:
                    yield number, frame
                    last = number
                    left = [one for one in left if one > number]
                    if not left:
                        return


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """What can be read of the stream, and None behind it, which asks the decoder for what it still holds."""
    with suppress(av.error.FFmpegError):  # `_measure` met it already
        yield from (packet for packet in container.demux(stream) if packet.size)
    yield None


def _write_view(frame: Any, rotation: int, path: Path) -> None:
    """The frame as a view: fitted, turned upright by quarters counterclockwise, JPEG."""
    width, height = fit(frame.width, frame.height)
    pixels = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA").to_ndarray()
    upright = np.ascontiguousarray(np.rot90(pixels, rotation))
    path.write_bytes(simplejpeg.encode_jpeg(upright, quality=QUALITY, colorsubsampling="420"))


def _limit(task: dict[str, Any]) -> None:
    """Bounds that hold whatever the decoder does, and after our parent is gone too."""
    limits = {
        resource.RLIMIT_CPU: math.ceil(task["timeout_s"]) + 1,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 1 << 26,
    }
    if sys.platform == "linux":  # macOS has the limit and refuses to set it
        limits[resource.RLIMIT_AS] = task["memory_bytes"]
    for what, bound in limits.items():
        resource.setrlimit(what, (bound, bound))


def main() -> None:
    """Do the task that is our argument."""
    task = json.loads(sys.argv[1])
    _limit(task)
    sys.stdout.write(json.dumps(answer(task)))


if __name__ == "__main__":
    main()
