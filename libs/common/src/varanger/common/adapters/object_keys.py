"""Which keys an object store takes: the same ones in every adapter, so that none can leave its folder or bucket."""

import re

LONGEST_KEY = 512
LONGEST_PART = 200
"""Characters of one `/`-separated part: file systems end at 255 bytes."""

_PART = re.compile(r"[A-Za-z0-9._=-]+")


def check_key(key: str) -> str:
    """The key itself.

    Raises:
        ValueError: empty, too long, another character, or a part that is empty, `.` or `..`.
    """
    if len(key) > LONGEST_KEY:
        raise ValueError(f"object key has {len(key)} characters, at most {LONGEST_KEY}: {key[:80]!r}…")
    for part in key.split("/"):
        if part in {".", ".."} or not _PART.fullmatch(part):
            raise ValueError(f"object key {key!r}: {part!r} is not one or more of [A-Za-z0-9._=-]")
        if len(part) > LONGEST_PART:
            raise ValueError(f"object key {key!r}: a part has {len(part)} characters, at most {LONGEST_PART}")
    return key
