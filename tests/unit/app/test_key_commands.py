"""`varanger key create` and `varanger-api key` make the same keys."""

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from varanger.api.main import main
from varanger.app.cli import app
from varanger.common.catalog import open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import ApiKey

LIMITS = ["--requests-per-minute", "600", "--bytes-per-hour", "20000000000"]


@pytest.fixture
def catalog_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    monkeypatch.setenv("VARANGER_CATALOG_URL", url)
    migrate(url)
    return url


async def the_key(url: str) -> ApiKey:
    catalog = open_catalog(url)
    async with catalog.reading() as session:
        row = (await session.execute(select(ApiKey))).scalar_one()
    await catalog.close()
    return row


def varanger_api(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["varanger-api", "key", "--scope", "upload", *words])
    main()


def test_the_processes_own_command_sets_limits(catalog_url, monkeypatch, capsys):
    varanger_api(monkeypatch, *LIMITS)
    assert capsys.readouterr().out.startswith("vgr_")
    made = asyncio.run(the_key(catalog_url))
    assert (made.requests_per_minute, made.bytes_per_hour) == (600, 20_000_000_000)


def test_without_limits_it_has_none_of_its_own(catalog_url, monkeypatch):
    varanger_api(monkeypatch)
    made = asyncio.run(the_key(catalog_url))
    assert (made.requests_per_minute, made.bytes_per_hour) == (None, None)


def test_a_negative_limit_is_refused_by_name(catalog_url, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        varanger_api(monkeypatch, "--requests-per-minute", "-1")
    assert "requests_per_minute is -1" in capsys.readouterr().err


def test_the_operators_command_sets_limits(catalog_url):
    words = ["key", "create", "--project", "*", "--scope", "upload"]
    done = CliRunner().invoke(app, [*words, *LIMITS])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("vgr_")
    made = asyncio.run(the_key(catalog_url))
    assert (made.requests_per_minute, made.bytes_per_hour) == (600, 20_000_000_000)
    assert CliRunner().invoke(app, [*words, "--bytes-per-hour", "-1"]).exit_code != 0
