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
        if not is_key_part(part):
            raise ValueError(f"object key {key!r}: {part!r} is not 1 to {LONGEST_PART} of [A-Za-z0-9._=-]")
    return key


def is_key_part(part: str) -> bool:
    """Whether this may stand between two `/` of a key."""
    return part not in {".", ".."} and len(part) <= LONGEST_PART and _PART.fullmatch(part) is not None
