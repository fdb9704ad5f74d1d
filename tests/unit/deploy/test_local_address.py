import datetime

import pytest
from local_services.address import Address
from local_services.probes import signed_headers


@pytest.mark.parametrize(
    ("url", "default_port", "expected"),
    [
        ("amqp://guest:guest@127.0.0.1:5672/", 5672, Address("amqp", "127.0.0.1", 5672, "guest", "guest", "")),
        ("amqp://a:b@host/%2F", 5672, Address("amqp", "host", 5672, "a", "b", "%2F")),
        ("postgresql://postgres@localhost/db", 5432, Address("postgresql", "localhost", 5432, "postgres", "", "db")),
        ("127.0.0.1:15801", 8001, Address("", "127.0.0.1", 15801)),
        ("http://k:p%40ss@[::1]:15700", 15700, Address("http", "::1", 15700, "k", "p@ss", "")),
    ],
)
def test_a_url_is_taken_apart(url: str, default_port: int, expected: Address):
    assert Address.parse(url, default_port) == expected


@pytest.mark.parametrize("url", ["", "amqp://", "amqp://:5672/"])
def test_a_url_without_host_is_refused(url: str):
    with pytest.raises(ValueError, match="names no host"):
        Address.parse(url)


@pytest.mark.parametrize(
    "url", ["amqp://u:p%40%2F@127.0.0.1:5672/x", "postgresql://postgres@127.0.0.1:5432/postgres", "127.0.0.1:15801"]
)
def test_a_url_survives_being_taken_apart(url: str):
    assert Address.parse(url).url == url


def test_a_password_is_never_shown():
    address = Address.parse("amqp://user:very-secret@127.0.0.1:5672/")
    assert "very-secret" in address.url
    assert "very-secret" not in address.shown
    assert address.shown == "amqp://user:***@127.0.0.1:5672/"


@pytest.mark.parametrize(("host", "ours"), [("127.0.0.1", True), ("localhost", True), ("db.example.org", False)])
def test_only_loopback_addresses_can_be_started_here(host: str, ours: bool):
    assert Address("amqp", host, 5672).is_loopback is ours


def test_the_object_store_signature_is_amazons():
    """Signature version 4, computed a second time by `minio`'s own signer."""
    from minio.credentials import Credentials
    from minio.signer import sign_v4_s3

    address = Address.parse("http://varanger:varanger-secret@127.0.0.1:15700")
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    ours = signed_headers(address, now)
    from urllib.parse import urlsplit

    headers = {k: v for k, v in ours.items() if k != "Authorization"}
    theirs = sign_v4_s3(
        method="GET",
        url=urlsplit("http://127.0.0.1:15700/"),
        region="us-east-1",
        headers=headers,
        credentials=Credentials("varanger", "varanger-secret"),
        content_sha256=ours["X-Amz-Content-Sha256"],
        date=now,
    )
    assert ours["Authorization"] == theirs["Authorization"]
