"""Decode a video in a process of its own, `video_child.py`, and judge how that ended.

The child knows nothing worth stealing: it gets no setting of ours, and a crash of its decoder is a verdict on one file.
Starting it costs about a quarter of a second.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from varanger.ingest.domain.file_types import ASF, AVI, FLV, MATROSKA, MP4, MPEG, QUICKTIME, FileType
from varanger.ingest.domain.verdict import Quarantine, QuarantineReason
from varanger.ingest.domain.video import Frame, Video, VideoLimits

PROGRAM = Path(__file__).with_name("video_child.py")
_FORMATS = {
    MP4.name: "mov",
    QUICKTIME.name: "mov",
    AVI.name: "avi",
    MATROSKA.name: "matroska",
    ASF.name: "asf",
    MPEG.name: "mpeg",
    FLV.name: "flv",
}
"""FFmpeg's demuxer of each type; it is never left to guess."""
_ELEMENTARY_MPEG = b"\x00\x00\x01\xb3"

_PASSED_ON = ("PATH", "HOME", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "TMPDIR")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""numpy would reserve address space per core."""


def decode_video(
    path: Path, file_type: FileType, limits: VideoLimits, workbench: Path | None = None
) -> Video | Quarantine:
    """Measure the video and make views of the frames sampled from it; or why it cannot be media.

    Args:
        path: the file.
        file_type: what it is by its bytes.
        limits: what it may cost.
        workbench: an existing folder for views until they are read back; the system's without.

    Raises:
        OSError: this machine cannot decode videos at all, or its disk failed; nothing is said about the file.
    """
    with TemporaryDirectory(prefix="varanger-video-", dir=workbench) as folder:
        task = {"path": str(path.resolve()), "format": _format(path, file_type), "folder": folder, **asdict(limits)}
        try:
            ended = subprocess.run(  # noqa: S603 - our own program
                [sys.executable, "-P", str(PROGRAM), json.dumps(task)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limits.timeout_s,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _ONE_THREAD,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _too_slow(limits)
        if ended.returncode < 0 and ended.returncode != -signal.SIGKILL:
            return _died_of(-ended.returncode, limits)
        if ended.returncode != 0:  # also where it was killed, as a system does that is out of memory: another try helps
            said = ended.stderr.decode(errors="replace")[-500:]
            raise OSError(f"the video decoder ended with status {ended.returncode}: {said}")
        said = json.loads(ended.stdout)
        if "reason" in said:
            return Quarantine(QuarantineReason(said["reason"]), said["detail"])
        frames = [Frame(number, (Path(folder) / f"{number}.jpg").read_bytes()) for number in said.pop("numbers")]
        return Video(**said, frames=tuple(frames))


def _format(path: Path, file_type: FileType) -> str:
    if file_type is MPEG:
        with path.open("rb") as file:
            if file.read(len(_ELEMENTARY_MPEG)) == _ELEMENTARY_MPEG:
                return "mpegvideo"
    return _FORMATS[file_type.name]


def _died_of(number: int, limits: VideoLimits) -> Quarantine:
    if number == signal.SIGXCPU:
        return _too_slow(limits)
    name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
    return Quarantine(QuarantineReason.CORRUPT_VIDEO, f"the decoder crashed on it ({name})")


def _too_slow(limits: VideoLimits) -> Quarantine:
    detail = f"it is not decoded after {limits.timeout_s:g} s, the most a video may take here"
    return Quarantine(QuarantineReason.VIDEO_TOO_SLOW, detail)
