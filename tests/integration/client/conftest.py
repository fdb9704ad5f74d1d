"""Gateways, a card, and the uploader."""

import pytest
from tests.integration.client.field_runs import NAMES, Field, write
from tests.integration.client.gateways import gateway_of


@pytest.fixture(params=["fake", "real"])
def gateway(request, tmp_path):
    with gateway_of(request.param, tmp_path / "gateway") as opened:
        yield opened


@pytest.fixture
def fake(tmp_path):
    with gateway_of("fake", tmp_path) as opened:
        yield opened


@pytest.fixture
def card(tmp_path):
    return write(tmp_path / "card", {name: name.encode() for name in NAMES})


@pytest.fixture
def field(tmp_path, monkeypatch):
    return Field(tmp_path, monkeypatch)
