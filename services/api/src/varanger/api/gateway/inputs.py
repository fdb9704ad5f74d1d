"""What all request bodies share: an unknown field is named, with the one that was probably meant."""

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


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
