"""How long it takes to execute many jobs of the memory store that are due at the same moment."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from . import common
from .common import (
    Watch,
    async_work,
    background,
    everything,
    executor,
    give_back,
    given,
    on_loop,
    past,
    work,
)


def threads(package: str, jobs: int) -> dict[str, Any]:
    return run_burst(background(package), jobs)


def inline(package: str, jobs: int) -> dict[str, Any]:
    return run_burst(
        background(package, executors={"default": executor(package, "debug", "DebugExecutor")}), jobs
    )


def asyncio_loop(package: str, jobs: int) -> dict[str, Any]:
    return asyncio.run(_burst_on_loop(package, jobs))


def processes(package: str, jobs: int) -> dict[str, Any]:
    """Two processes; they have started before, and the listener that counts is part of what is measured."""
    pool = executor(package, "pool", "ProcessPoolExecutor", max_workers=2)
    events = import_module(f"{package}.events")
    scheduler = background(package, executors={"default": pool})
    scheduler.add_listener(lambda event: common.work(event.retval), events.EVENT_JOB_EXECUTED)
    scheduler.start(paused=True)
    for warmed in (2, jobs):
        common.forget()
        result = _run(scheduler, warmed, give_back)
    scheduler.shutdown()
    return result


def run_burst(scheduler: Any, jobs: int, **options: Any) -> dict[str, Any]:
    """Execute jobs with some options that are due at once."""
    scheduler.start(paused=True)
    result = _run(scheduler, jobs, work, **options)
    scheduler.shutdown()
    return result


def _run(scheduler: Any, jobs: int, function: Any, **options: Any) -> dict[str, Any]:
    common.expect(jobs)
    _fill(scheduler, jobs, function, **options)
    watch = Watch()
    scheduler.resume()
    everything.wait(100)
    seconds, cpu = watch.seconds(), watch.cpu()
    scheduler.pause()
    return rate(seconds, cpu, jobs)


async def _burst_on_loop(package: str, jobs: int) -> dict[str, Any]:
    common.expect(jobs)
    scheduler = on_loop(package)
    scheduler.start(paused=True)
    _fill(scheduler, jobs, async_work)
    watch = Watch()
    scheduler.resume()
    while not everything.is_set() and watch.seconds() < 100:  # noqa: ASYNC110  # jobs may end on any thread
        await asyncio.sleep(0)
    seconds, cpu = watch.seconds(), watch.cpu()
    scheduler.shutdown()
    await asyncio.sleep(0.2)
    return rate(seconds, cpu, jobs)


def _fill(scheduler: Any, jobs: int, function: Any, **options: Any) -> None:
    due = past()
    for index in range(jobs):
        scheduler.add_job(
            function,
            "interval",
            args=[index],
            hours=1,
            next_run_time=due,
            misfire_grace_time=None,
            **options,
            **given(index, start_date=due),
        )


def rate(seconds: float, cpu: float, jobs: int) -> dict[str, Any]:
    """Return the answer when all jobs should have run."""
    return {
        "figures": {"seconds": seconds, "rate": jobs / seconds},
        "cpu": cpu,
        "count": common.counted_once(jobs),
        "expected": jobs,
    }


def rate_so_far(seconds: float, cpu: float, jobs: int) -> dict[str, Any]:
    """Return the answer for a peer that is given up after some seconds: the rate of the runs until then."""
    ran = list(common.executed)
    return {
        "figures": {"seconds": None, "rate": len(ran) / seconds},
        "cpu": cpu,
        "count": len(set(ran)),
        "expected": len(ran),
        "note": None if len(ran) == jobs else f"{len(ran):,} of {jobs:,} in {seconds:.0f} s",
    }
