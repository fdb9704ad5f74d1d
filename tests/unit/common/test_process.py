"""Running a service: what repeats, what liveness sees of it, and what a fault does."""

import asyncio

from varanger.common.process import Loop, Service, run_service
from varanger.common.telemetry.health import Health, Progress


async def test_a_watched_loop_that_hangs_is_not_alive() -> None:
    stop, hang, entered = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def step() -> bool:
        entered.set()
        await hang.wait()
        return False

    progress = Progress(stall_after_s=0.0)  # any time at all is too long
    running = asyncio.create_task(run_service(Service("s", progress, loops=[Loop("l", step, 60, watched=True)]), stop))
    await entered.wait()
    await asyncio.sleep(0.001)
    assert not progress.alive
    hang.set()
    while not progress.alive:
        await asyncio.sleep(0)
    stop.set()
    await running


async def test_a_check_that_raises_anything_is_an_answer() -> None:
    async def broken() -> None:
        raise RuntimeError("boom")

    health = Health("s", Progress(1), {"thing": broken})
    health.started = True
    assert await health.ready() == (False, {"service": "s", "ready": False, "checks": {"thing": "RuntimeError: boom"}})


async def test_who_waits_for_a_dependency_is_alive_and_not_ready() -> None:
    health = Health("s", Progress(0.0), {})
    assert health.live()[0]
    assert not (await health.ready())[0]
    health.begin(Progress(1), {})
    assert (await health.ready())[0]
