"""`varanger-ingest` as a process on real RabbitMQ, killed in the middle of its work."""

import asyncio
import hashlib
import io
import os
import signal
import sys
from datetime import UTC, datetime

import numpy as np
from PIL import Image

from varanger.common import topology
from varanger.common.adapters import open_bus, open_object_store
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaQuarantined, MediaStored, MediaUploaded
from varanger.common.words import DeploymentSnapshot, Lane

FILES = 40


def drawn(number):
    if number % 10 == 9:
        return f"not an image, {number}".encode()
    out = io.BytesIO()
    coarse = np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((2000, 1500)).save(out, "JPEG")
    return out.getvalue()


async def start(environment):
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "varanger.ingest.main", env=environment)


async def test_killed_in_the_middle_it_loses_nothing(amqp_url, tmp_path):
    objects_url = f"file://{tmp_path}/objects"
    environment = os.environ | {
        "VARANGER_BUS_URL": amqp_url,
        "VARANGER_OBJECTS_URL": objects_url,
        "VARANGER_LOG_LEVEL": "WARNING",
        "TMPDIR": str(tmp_path),
    }
    bus, objects = open_bus(amqp_url), open_object_store(objects_url)
    await bus.start()
    facts, some, all_of_them = {}, asyncio.Event(), asyncio.Event()

    async def record(delivery):
        payload = Envelope.from_body(delivery.body).payload
        assert facts.setdefault(payload.media_id, payload) == payload, "the same upload gives the same fact"
        await delivery.ack()
        if len(facts) >= 5:
            some.set()
        if len(facts) == FILES:
            all_of_them.set()

    for queue in topology.RECORDER:
        await bus.consume(queue.name, record, prefetch=100)
    uploads = []
    for number in range(FILES):
        data, media_id = drawn(number), new_id()
        key = f"incoming/p/{media_id}"
        await objects.put(key, data)
        upload = MediaUploaded(
            media_id=media_id,
            deployment=DeploymentSnapshot(deployment_id="D1", location_id="L1"),
            incoming_key=key,
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            original_name="IMG_0001.JPG",
            uploaded_at=datetime.now(UTC),
        )
        uploads.append(Envelope.wrap(upload, project_id="p", producer="test", lane=Lane.BULK))
    await bus.publish(uploads)

    first = await start(environment)
    async with asyncio.timeout(90):
        await some.wait()
    first.kill()
    await first.wait()
    second = await start(environment)
    async with asyncio.timeout(90):
        await all_of_them.wait()
    second.send_signal(signal.SIGTERM)
    assert await second.wait() == 0
    assert sum(isinstance(fact, MediaStored) for fact in facts.values()) == FILES - FILES // 10
    assert sum(isinstance(fact, MediaQuarantined) for fact in facts.values()) == FILES // 10
    for fact in facts.values():
        assert await objects.head(fact.key) is not None
    kept = [found.key async for found in objects.list("media/")]
    assert len(kept) == FILES - FILES // 10
    await bus.close()
    await objects.close()
