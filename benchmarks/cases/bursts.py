"""How long it takes to execute many jobs of the memory store that are due at the same moment."""

from __future__ import annotations

import asyncio
from typing import Any

from . import common
from .common import ZONE, Watch, async_work, background, everything, executor, past, scheduler_class, work


def threads(package: str, jobs: int) -> dict[str, Any]:
    return _burst(background(package), jobs)


def inline(package: str, jobs: int) -> dict[str, Any]:
    return _burst(
        background(package, executors={"default": executor(package, "debug", "DebugExecutor")}), jobs
    )


def loop(package: str, jobs: int) -> dict[str, Any]:
    return asyncio.run(_burst_on_loop(package, jobs))


def _burst(scheduler: Any, jobs: int) -> dict[str, Any]:
    common.expect(jobs)
    scheduler.start(paused=True)
    _fill(scheduler, jobs, work)
    watch = Watch()
    scheduler.resume()
    everything.wait(100)
    seconds, cpu = watch.seconds(), watch.cpu()
    scheduler.shutdown()
    return _result(seconds, cpu, jobs)


async def _burst_on_loop(package: str, jobs: int) -> dict[str, Any]:
    common.expect(jobs)
    scheduler = scheduler_class(package, "asyncio", "AsyncIOScheduler")(timezone=ZONE)
    scheduler.start(paused=True)
    _fill(scheduler, jobs, async_work)
    watch = Watch()
    scheduler.resume()
    while not everything.is_set() and watch.seconds() < 100:  # noqa: ASYNC110  # jobs may end on any thread
        await asyncio.sleep(0)
    seconds, cpu = watch.seconds(), watch.cpu()
    scheduler.shutdown()
    await asyncio.sleep(0.2)
    return _result(seconds, cpu, jobs)


def _fill(scheduler: Any, jobs: int, function: Any) -> None:
    due = past()
    for index in range(jobs):
        scheduler.add_job(
            function, "interval", args=[index], hours=1, next_run_time=due, misfire_grace_time=None
        )


def _result(seconds: float, cpu: float, jobs: int) -> dict[str, Any]:
    return {
        "figures": {"seconds": seconds, "rate": jobs / seconds},
        "cpu": cpu,
        "count": common.counted_once(jobs),
        "expected": jobs,
    }
