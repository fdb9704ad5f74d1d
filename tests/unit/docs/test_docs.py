"""The pages say what the code has: what a page must list is compared with the code, and every link leads somewhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase
from sqlmodel import SQLModel

from varanger.common import topology
from varanger.common.catalog import tables
from varanger.common.messages import MESSAGES
from varanger.common.retry import RETRY_DELAYS_S
from varanger.common.settings import Settings
from varanger.common.telemetry import metrics
from varanger.ingest.domain.verdict import Flag, QuarantineReason

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
)

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
OF_COMMANDS = {"VARANGER_URL", "VARANGER_KEY", "VARANGER_PROJECT", "VARANGER_DEPLOYMENT"}
OF_THE_FIELD = {"VARANGER_FOLDER", "VARANGER_FIELD_OPTIONS"}
NOT_SETTINGS = OF_COMMANDS | OF_THE_FIELD | {"VARANGER_SAMPLE_DATA", "VARANGER_SERVICES_DIR"}
"""Variables of the command line and of tests."""


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def row_of(text: str, word: str) -> str:
    """The table row whose first cell is this word."""
    rows = [line for line in text.splitlines() if line.startswith(f"| `{word}` |")]
    assert len(rows) == 1, f"{len(rows)} table rows begin with `{word}`"
    return rows[0]


def families() -> Iterator[Any]:
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase):
            yield from value.describe()


def metric_names() -> list[str]:
    return [family.name + ("_total" if family.type == "counter" else "") for family in families()]


def test_every_metric_has_its_row():
    assert metric_names()
    for name in metric_names():
        row_of(page("metrics.md"), name)


def test_no_page_speaks_of_a_metric_that_does_not_exist():
    known = set(metric_names())
    for path in PAGES:
        spoken = set(re.findall(r"`(varanger_[a-z_]+)`", path.read_text(encoding="utf-8")))
        assert spoken <= known, f"{path.relative_to(ROOT)}: {sorted(spoken - known)}"


def test_every_part_of_the_work_that_is_timed_is_named():
    used = {
        part
        for path in ROOT.glob("*/*/src/**/*.py")
        for part in re.findall(r'STAGE_SECONDS\.labels\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    }
    assert used
    for part in used:
        row_of(page("metrics.md"), part)


def test_every_loop_is_named():
    loops = {
        name
        for path in ROOT.glob("*/*/src/**/*.py")
        for name in re.findall(r'\bLoop\("([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert loops
    assert {name for name in loops if f"`{name}`" not in page("metrics.md")} == set()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.TYPE)
def test_every_message_has_its_row(message):
    row = row_of(page("dataflow.md"), message.TYPE)
    queues = [queue.name for queue in topology.QUEUES if any(bind.startswith(message.TYPE) for bind in queue.binds)]
    assert queues
    assert [name for name in queues if f"`{name}`" not in row] == []


def test_the_retry_policy_and_limits_are_as_written():
    text = page("dataflow.md")
    assert ", ".join(f"{delay:g}" for delay in RETRY_DELAYS_S) + " s" in text
    assert f"delivery limit of {topology.DELIVERY_LIMIT}," in text
    assert f"{topology.DEAD_LETTERS_DELIVERY_LIMIT:,}" in text


@pytest.mark.parametrize("reason", [*QuarantineReason, *Flag], ids=str)
def test_every_reason_and_flag_has_its_row(reason):
    row_of(page("dataflow.md"), str(reason))


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_has_its_row_with_its_default(name):
    row = row_of(page("operating.md"), f"VARANGER_{name.upper()}")
    default = Settings.model_fields[name].default
    written = json.dumps(list(default), separators=(",", ":")) if isinstance(default, tuple) else str(default)
    assert row.split("|")[2].strip() == f"`{written}`"


def test_no_page_speaks_of_a_setting_that_does_not_exist():
    known = {f"VARANGER_{name.upper()}" for name in Settings.model_fields} | NOT_SETTINGS
    for path in PAGES:
        spoken = set(re.findall(r"VARANGER_[A-Z0-9_]*[A-Z0-9]", path.read_text(encoding="utf-8")))
        unknown = {name for name in spoken - known if not name.startswith("VARANGER_TEST_")}
        assert unknown == set(), path.relative_to(ROOT)


def test_every_table_has_its_row_with_its_writer():
    found = [value for value in vars(tables).values() if isinstance(value, type) and issubclass(value, SQLModel)]
    names = [value.__tablename__ for value in found if value is not SQLModel]
    assert names
    for name in names:
        row_of(page("architecture.md"), str(name))


def test_every_benchmark_has_its_row():
    scripts = [path.name for path in (ROOT / "bench").glob("*_bench.py")]
    assert scripts
    for name in scripts:
        row_of(page("benchmarks.md"), name)


def slug(heading: str) -> str:
    """A heading's anchor, as forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path):
    text = CODE_BLOCK.sub("", path.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{target} is not there"
        assert there.is_relative_to(ROOT), f"{target} leads out of the repository"
        if anchor:
            headings = HEADING.findall(CODE_BLOCK.sub("", there.read_text(encoding="utf-8")))
            assert anchor in {slug(heading) for heading in headings}, f"{target}: no such heading"
