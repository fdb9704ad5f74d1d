"""Who may do what: keys, their scopes, and the project they are bound to."""

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

EVERY_PROJECT = "*"
PREFIX = "vgr_"


class Scope(StrEnum):
    """What a key allows. A field gateway's `upload` key lets nobody look at anything."""

    UPLOAD = "upload"
    READ = "read"
    REVIEW = "review"
    ADMIN = "admin"


_IMPLIED = {
    Scope.UPLOAD: frozenset({Scope.UPLOAD}),
    Scope.READ: frozenset({Scope.READ}),
    Scope.REVIEW: frozenset({Scope.READ, Scope.REVIEW}),
    Scope.ADMIN: frozenset(Scope),
}


def is_withheld(*, private: bool, answered: bool) -> bool:
    """Whether an image is for reviewers alone. Until something has looked at it, it may show people."""
    return private or not answered


@dataclass(frozen=True)
class KeyLimits:
    """How much one key may ask of one gateway. None: what the settings say for all keys; 0: without limit."""

    requests_per_minute: int | None = None
    bytes_per_hour: int | None = None
    """Of request bodies."""

    def __post_init__(self) -> None:
        """Raises ValueError for a negative limit."""
        for name, limit in (
            ("requests_per_minute", self.requests_per_minute),
            ("bytes_per_hour", self.bytes_per_hour),
        ):
            if limit is not None and limit < 0:
                raise ValueError(f"{name} is {limit}: give a number above 0, or 0 for no limit")


NO_OWN_LIMITS = KeyLimits()


@dataclass(frozen=True)
class Caller:
    """Somebody whose key was checked."""

    name: str
    project_id: str
    """`*`: every project."""
    scopes: frozenset[Scope]
    key_id: UUID | None = None
    """None: somebody who needed no key."""
    limits: KeyLimits = NO_OWN_LIMITS

    def reaches(self, project_id: str) -> bool:
        """Whether the key is for this project."""
        return self.project_id in (EVERY_PROJECT, project_id)

    def may(self, scope: Scope, project_id: str | None = None) -> bool:
        """Whether the key allows this, in this project. `review` includes `read`; `admin` includes everything."""
        allowed = any(scope in _IMPLIED[own] for own in self.scopes)
        return allowed and (project_id is None or self.reaches(project_id))


def new_key() -> str:
    """A fresh key: 256 random bits, with a prefix that secret scanners can find."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """sha256 in hex, which is all that is kept of a key.

    A slow, salted password hash guards against guessing; there is no guessing 256 random bits, and a plain hash
    is one indexed look-up on every request.
    """
    return hashlib.sha256(key.encode()).hexdigest()
