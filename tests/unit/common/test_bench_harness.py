"""The paired comparison that every benchmark reports."""

import importlib.util
import json
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("bench_harness", Path(__file__).parents[3] / "bench" / "harness.py")
assert _SPEC is not None
assert _SPEC.loader is not None
harness = importlib.util.module_from_spec(_SPEC)


@pytest.fixture(scope="module", autouse=True)
def loaded():
    import sys

    sys.modules["bench_harness"] = harness
    _SPEC.loader.exec_module(harness)
    yield
    del sys.modules["bench_harness"]


def test_the_ratio_is_of_pairs_not_of_medians():
    one = harness.summarise("ours", "theirs", "x/s", [10.0, 100.0, 30.0], [10.0, 50.0, 60.0])
    assert (one.ratio, one.ratio_min, one.ratio_max) == (1.0, 0.5, 2.0)
    assert (one.ours, one.theirs) == (30.0, 50.0)


def test_sides_must_be_measured_equally_often():
    with pytest.raises(ValueError, match="argument 2"):
        harness.summarise("ours", "theirs", "x/s", [1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="nothing"):
        harness.summarise("ours", "theirs", "x/s", [], [])


async def test_the_sides_take_turns_and_the_first_pair_only_warms_up(capsys):
    order = []

    def ours() -> float:
        order.append("ours")
        return 3.0

    async def theirs() -> float:
        order.append("theirs")
        return 2.0

    one = await harness.compare("ours", ours, "theirs", theirs, unit="x/s", repeats=2, goal=0.9)
    assert order == ["theirs", "ours"] * 3
    assert (one.ratio, one.repeats) == (1.5, 2)
    harness.report(one)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])[0]["ratio"] == 1.5
