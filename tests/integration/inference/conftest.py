"""The models that see colours, shared with the unit tests: test folders are no packages, so by path."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

UNIT = Path(__file__).resolve().parents[2] / "unit" / "inference" / "conftest.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("inference_colours", UNIT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def colours() -> Any:
    return _load().Colours
