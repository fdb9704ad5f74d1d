"""What the SDK reads an answer as, held against what the gateway's own description says it sends."""

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from varanger.client.models import jobs, media, projects, quality, uploads

OPENAPI = Path(__file__).resolve().parents[3] / "docs" / "schemas" / "openapi.json"
SCHEMAS: dict[str, Any] = json.loads(OPENAPI.read_text())["components"]["schemas"]
OTHER_NAMES = {"QuarantinedFile": "QuarantinedOut", "Checked": "CheckOut", "Replayed": "ReplayOut"}
"""Of ours in the description, where they are neither the same nor the same with `Out`."""
OUR_OWN = {"Verdict", "TusUpload", "Observation"}
"""Not read from JSON; or, an observation, a machine's and a person's in one."""
JSON = {str: "string", int: "integer", float: "number", bool: "boolean", tuple: "array", dict: "object"}
MODELS = [
    model
    for module in (jobs, media, projects, quality, uploads)
    for name, model in vars(module).items()
    if dataclasses.is_dataclass(model) and name not in OUR_OWN
]


def schema_of(model: Any) -> dict[str, Any]:
    name = OTHER_NAMES.get(model.__name__, model.__name__)
    return SCHEMAS[f"{name}Out" if f"{name}Out" in SCHEMAS else name]


def said(field: dict[str, Any]) -> set[str]:
    """The JSON types of a field; an enumeration is a string, another reference an object."""
    found = set()
    for one in field.get("anyOf", [field]):
        target = SCHEMAS[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        found.add(target.get("type", "object"))
    return found


def taken(hint: Any) -> set[str]:
    """The JSON types that the SDK reads as this."""
    if hint is type(None):
        return {"null"}
    if isinstance(hint, type) or get_origin(hint) in (tuple, dict):
        kind = get_origin(hint) or hint
        found = JSON.get(kind, "string" if kind.__name__ == "datetime" else "object")
        return {found, "integer"} if found == "number" else {found}
    return set().union(*map(taken, get_args(hint)))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_each_field_takes_what_the_gateway_sends(model: Any) -> None:
    properties = schema_of(model)["properties"]
    for name, hint in get_type_hints(model).items():
        if hint is not Any:
            assert said(properties[name]) <= taken(hint), name
