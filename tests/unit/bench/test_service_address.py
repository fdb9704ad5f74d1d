"""Benchmarks find the services where the tests find them."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

HARNESS = Path(__file__).resolve().parents[3] / "bench" / "harness.py"
NAME = "VARANGER_TEST_S3_URL"


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    specification = importlib.util.spec_from_file_location("bench_harness_addresses", HARNESS)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.setenv("VARANGER_SERVICES_DIR", str(tmp_path))
    yield module
    del sys.modules[specification.name]


def test_the_environment_goes_before_the_file(harness, monkeypatch, tmp_path):
    (tmp_path / "services.env").write_text(f"OTHER=1\n{NAME}=http://key:secret=@127.0.0.1:9000/\n")
    assert harness.service_address(NAME) == "http://key:secret=@127.0.0.1:9000/"
    monkeypatch.setenv(NAME, "http://elsewhere/")
    assert harness.service_address(NAME) == "http://elsewhere/"


def test_where_neither_names_it_the_sentence_says_what_to_do(harness):
    with pytest.raises(SystemExit, match=f"{NAME} is not set.*make services"):
        harness.service_address(NAME)


def test_a_figure_is_the_median_with_its_spread(harness):
    figure = harness.Figure.of("report", "s", [3.0, 1.0, 2.0], goal=2.0)
    assert (figure.value, figure.least, figure.most, figure.repeats) == (2.0, 1.0, 3.0, 3)
    assert str(figure) == "report: 2 s (1 to 3, 3 runs, goal ≤ 2)"
