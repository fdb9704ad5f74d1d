"""A gateway that is killed in the middle of a tus request: another one goes on from what counted."""

import asyncio
import hashlib
import os
import signal
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
from sqlalchemy import select

from varanger.api.application.keys import create_key
from varanger.api.application.resumable_upload import PIECE_BYTES
from varanger.api.domain.access import Scope
from varanger.common.adapters import open_object_store
from varanger.common.catalog import open_catalog
from varanger.common.catalog.migrate import migrate
from varanger.common.catalog.tables import Deployment, Project, Upload

CONTENT = os.urandom(48 << 20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def serve(catalog_url: str, objects_url: str) -> tuple[asyncio.subprocess.Process, str]:
    port = free_port()
    own = {"CATALOG_URL": catalog_url, "OBJECTS_URL": objects_url, "BUS_URL": "memory://", "HTTP_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "varanger.api.main",
        "serve",
        env=os.environ | {f"VARANGER_{name}": value for name, value in own.items()},
    )
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            with suppress(httpx.TransportError):
                if (await client.get(f"{url}/livez")).status_code == 200:
                    return process, url
            await asyncio.sleep(0.05)


async def test_another_gateway_goes_on_after_a_kill(postgres_url: str, s3_url: str) -> None:
    await asyncio.to_thread(migrate, postgres_url)
    catalog, objects = open_catalog(postgres_url), open_object_store(s3_url)
    async with catalog.writing() as session:
        session.add(Project(project_id="tundra"))
        session.add(Deployment(project_id="tundra", deployment_id="north-1", location_id="north"))
    key = await create_key(catalog, scopes=[Scope.UPLOAD])
    started = await asyncio.gather(*(serve(postgres_url, s3_url) for _ in range(2)))
    (first, url), (second, other) = started
    headers = {"Authorization": f"Bearer {key}", "Tus-Resumable": "1.0.0"}
    kind = {"Content-Type": "application/offset+octet-stream"}
    try:
        async with httpx.AsyncClient(headers=headers, timeout=60) as client:
            told = {"Upload-Length": str(len(CONTENT)), "Upload-Metadata": f"filename {b64encode(b'a.avi').decode()}"}
            query = {"project": "tundra", "deployment": "north-1"}
            created = await client.post(f"{url}/v1/uploads/tus", params=query, headers=told)
            at = created.headers["location"]

            async def offset() -> int:
                return int((await client.head(other + at)).headers["upload-offset"])

            async def body() -> AsyncIterator[bytes]:
                half = 3 * PIECE_BYTES + 1000
                yield CONTENT[:half]
                async with asyncio.timeout(60):
                    while await offset() < 3 * PIECE_BYTES:
                        await asyncio.sleep(0.02)
                first.send_signal(signal.SIGKILL)
                await first.wait()
                yield CONTENT[half:]

            with suppress(httpx.TransportError):
                await client.patch(url + at, content=body(), headers=kind | {"Upload-Offset": "0"})
            assert first.returncode == -signal.SIGKILL
            kept = await offset()
            assert kept == 3 * PIECE_BYTES
            last = await client.patch(other + at, content=CONTENT[kept:], headers=kind | {"Upload-Offset": str(kept)})
        assert last.headers["varanger-verdict"] == "accepted", last.text
        async with catalog.reading() as session:
            [upload] = (await session.execute(select(Upload))).scalars()
        assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert hashlib.sha256(await objects.get(upload.incoming_key)).hexdigest() == upload.sha256
        assert [stored.key async for stored in objects.list("partial/")] == []
        await objects.delete(upload.incoming_key)
    finally:
        for process, _ in started:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        await objects.close()
        await catalog.close()
    assert second.returncode == 0
