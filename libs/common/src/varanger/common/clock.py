"""Time: the camera's own time is naive, everything of ours is aware UTC."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator


def _require_aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a UTC time must carry its zone; naive times are the camera's own")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:  # pydantic lets this pass as it is, and a message could end its reader with it
        raise ValueError("a time before year 1 or after 9999 in UTC") from error


def _require_naive(value: datetime) -> datetime:
    if value.tzinfo is not None:
        raise ValueError("the camera's own time carries no zone")
    return value


UtcTime = Annotated[datetime, AfterValidator(_require_aware)]
CameraTime = Annotated[datetime, AfterValidator(_require_naive)]


def now() -> datetime:
    """The present, aware."""
    return datetime.now(UTC)
