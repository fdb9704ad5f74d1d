"""What request bodies share: a date that a person says, and that an unknown field is named, with the one that was
probably meant."""

import difflib
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator


def _of_a_camera(value: datetime) -> datetime:
    if value.tzinfo is not None:
        raise ValueError("the camera's own time has no zone; leave the offset out, as in 2026-06-01T10:00:00")
    if not 1900 <= value.year < 2200:
        raise ValueError(f"the year is {value.year}; give one from 1900 to 2199")
    return value


SaidDate = Annotated[datetime, AfterValidator(_of_a_camera)]
"""A date that a person gives a file: the camera's own time, and no slip of the pen."""


class Input(BaseModel):
    """A request body."""

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _known_fields_only(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        for name in given:
            if name not in cls.model_fields:
                close = difflib.get_close_matches(str(name), cls.model_fields, 1)
                meant = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(cls.model_fields)}"
                raise ValueError(f"there is no field {name!r}; {meant}")
        return given
