"""The service as `varanger-ingest` wires it, on the embedded bus and store."""

import asyncio
import hashlib
import io
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from PIL import Image

from varanger.common import topology
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, MediaQuarantined, MediaStored, MediaUploaded
from varanger.common.process import Wiring, run_service
from varanger.common.settings import Settings
from varanger.common.words import DeploymentSnapshot, Lane
from varanger.ingest.main import build


def drawn(number):
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (number, 2 * number, 3 * number)).save(out, "JPEG")
    return out.getvalue()


async def test_the_service_takes_both_lanes_and_lives_through_bad_files(tmp_path):
    stop, facts, dead = asyncio.Event(), {}, asyncio.Queue()
    files = [drawn(number) for number in range(20)] + [b"", b"text", drawn(77)[:300]]
    settings = Settings(bus_url="memory://", objects_url=f"file://{tmp_path}/objects", retry_delays_s=(0.01, 0.01))
    async with AsyncExitStack() as stack:
        wiring = Wiring(settings, stack, stop)
        service = await build(wiring)
        bus, objects = await wiring.bus(), await wiring.objects()
        complete = asyncio.Event()

        async def record(delivery):
            envelope = Envelope.from_body(delivery.body)
            facts[envelope.payload.media_id] = envelope.payload
            await delivery.ack()
            if len(facts) == len(files):
                complete.set()

        async def bury(delivery):
            dead.put_nowait(delivery.headers)
            await delivery.ack()

        for queue in topology.RECORDER:
            await bus.consume(queue.name, record, prefetch=100)
        await bus.consume(topology.DEAD_LETTERS, bury, prefetch=100)
        running = asyncio.create_task(run_service(service, stop))
        for number, data in enumerate(files):
            media_id = new_id()
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
            lane = Lane.LIVE if number % 2 else Lane.BULK
            await bus.publish([Envelope.wrap(upload, project_id="p", producer="test", lane=lane)])
        lost = upload.model_copy(update={"media_id": new_id(), "incoming_key": "incoming/p/lost"})
        await bus.publish([Envelope.wrap(lost, project_id="p", producer="test")])
        async with asyncio.timeout(60):
            await complete.wait()
            reason = (await dead.get())["x-reason"]
        stop.set()
        await running
        for fact in facts.values():
            assert await objects.head(fact.key) is not None
    assert sum(isinstance(fact, MediaStored) for fact in facts.values()) == 20
    reasons = sorted(fact.reason for fact in facts.values() if isinstance(fact, MediaQuarantined))
    assert reasons == ["empty_file", "truncated_image", "wrong_type"]
    assert "ObjectMissing" in reason
    assert "gave up after 3 attempts" in reason
