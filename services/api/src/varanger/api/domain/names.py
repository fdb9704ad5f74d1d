"""File names as clients give them, made safe to keep."""

import re

LONGEST = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"^[A-Za-z]:")


def safe_path(given: str) -> str:
    """The path a client gave for a file, relative, with `/`, without `..`: kept for people, never opened.

    An SD card's folders (`DCIM/100RECNX/IMG_0001.JPG`) say which card and series a file is from. Nothing usable left:
    `unnamed`.
    """
    text = _DRIVE.sub("", _CONTROL.sub("", given).replace("\\", "/"))
    parts = [part.strip() for part in text.split("/")]
    kept = [part for part in parts if part not in ("", ".", "..")]
    return "/".join(kept)[-LONGEST:].lstrip("/") or "unnamed"


def last_name(path: str) -> str:
    """The file's own name, of a path from `safe_path`."""
    return path.rsplit("/", maxsplit=1)[-1]
