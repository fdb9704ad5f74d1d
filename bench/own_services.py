"""A vhost, a database and a bucket of a benchmark's own on the real services; each goes away with its `with`."""

import os
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from harness import service_address
from minio import Minio

NAME = f"varanger-bench-{os.getpid()}-{secrets.token_hex(3)}"


@contextmanager
def own_vhost() -> Iterator[str]:
    """Its `amqp://` URL."""
    url = urlsplit(service_address("VARANGER_TEST_AMQP_URL"))
    administer = [*shlex.split(service_address("VARANGER_TEST_RABBITMQCTL")), "-q"]
    subprocess.run([*administer, "add_vhost", NAME], check=True)
    try:
        allowed = ["set_permissions", "-p", NAME, url.username or "guest", ".*", ".*", ".*"]
        subprocess.run([*administer, *allowed], check=True)
        yield url._replace(path=f"/{NAME}").geturl()
    finally:
        subprocess.run([*administer, "delete_vhost", NAME], check=True)


@contextmanager
def own_database() -> Iterator[str]:
    """Its catalog URL; nothing is in it yet."""
    url = service_address("VARANGER_TEST_POSTGRES_URL")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{NAME}"')
    try:
        yield urlsplit(url)._replace(scheme="postgresql+psycopg", path=f"/{NAME}").geturl()
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{NAME}" WITH (FORCE)')


@contextmanager
def own_bucket() -> Iterator[str]:
    """Its object-store URL."""
    url = urlsplit(service_address("VARANGER_TEST_S3_URL"))
    place, secure = f"{url.hostname}:{url.port}", url.scheme == "https"
    client = Minio(place, access_key=url.username, secret_key=url.password, secure=secure)
    client.make_bucket(NAME)
    try:
        yield f"s3://{url.username}:{url.password}@{place}/{NAME}?secure={str(secure).lower()}"
    finally:
        for item in client.list_objects(NAME, recursive=True):
            client.remove_object(NAME, str(item.object_name))
        client.remove_bucket(NAME)
