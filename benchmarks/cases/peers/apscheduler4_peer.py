"""The alpha of APScheduler 4, with its memory data store; it runs in an environment of its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler import AsyncScheduler, Scheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from .. import common
from ..bursts import rate_so_far
from ..common import SUMMER_TIME, Watch, async_work, everything, idle, past, work

#: Jobs that it is given at the most, and seconds after which their runs are not waited for.
MOST, LIMIT = 2_000, 8


def adding(package: str, jobs: int, limit: int = 0) -> dict[str, Any]:
    def trigger(index: int) -> IntervalTrigger:
        seconds = 36_000 + index % 3_600
        return IntervalTrigger(seconds=seconds, start_time=datetime.now(UTC) + timedelta(seconds=seconds))

    return _add(jobs, trigger)


def adding_cron(package: str, jobs: int) -> dict[str, Any]:
    def trigger(index: int) -> CronTrigger:
        return CronTrigger(
            month=1 + index % 12, day=1 + index % 28, hour=index % 24, minute=index % 60, timezone=SUMMER_TIME
        )

    return _add(jobs, trigger)


def _add(jobs: int, trigger: Any) -> dict[str, Any]:
    jobs = min(jobs, MOST)
    with Scheduler() as scheduler:
        scheduler.start_in_background()
        watch = Watch()
        for index in range(jobs):
            scheduler.add_schedule(idle, trigger(index))
        seconds, cpu = watch.seconds(), watch.cpu()
        kept = len(scheduler.get_schedules())
        scheduler.stop()
    return {"figures": {"us": seconds / jobs * 1e6}, "cpu": cpu, "count": kept, "expected": jobs}


def burst_threads(package: str, jobs: int) -> dict[str, Any]:
    jobs = min(jobs, MOST)
    common.expect(jobs)
    with Scheduler(max_concurrent_jobs=10) as scheduler:
        due = past()
        for index in range(jobs):
            scheduler.add_schedule(work, IntervalTrigger(hours=1, start_time=due), args=[index])
        watch = Watch()
        scheduler.start_in_background()
        everything.wait(LIMIT)
        seconds, cpu = watch.seconds(), watch.cpu()
        scheduler.stop()
    return rate_so_far(seconds, cpu, jobs)


def burst_asyncio(package: str, jobs: int) -> dict[str, Any]:
    jobs = min(jobs, MOST)

    async def burst() -> dict[str, Any]:
        common.expect(jobs)
        async with AsyncScheduler() as scheduler:
            due = past()
            for index in range(jobs):
                await scheduler.add_schedule(
                    async_work, IntervalTrigger(hours=1, start_time=due), args=[index]
                )
            watch = Watch()
            await scheduler.start_in_background()
            while not everything.is_set() and watch.seconds() < LIMIT:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            seconds, cpu = watch.seconds(), watch.cpu()
            await scheduler.stop()
        return rate_so_far(seconds, cpu, jobs)

    return asyncio.run(burst())
