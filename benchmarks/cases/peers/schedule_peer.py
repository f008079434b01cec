"""`schedule`: run_pending() in the caller's thread."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from schedule import Scheduler

from ..bursts import rate
from ..common import Watch, idle, work


def adding(package: str, jobs: int, limit: int = 0) -> dict[str, Any]:
    scheduler = Scheduler()
    watch = Watch()
    for index in range(jobs):
        scheduler.every(36_000 + index % 3_600).seconds.do(idle)
    seconds, cpu = watch.seconds(), watch.cpu()
    return {
        "figures": {"us": seconds / jobs * 1e6},
        "cpu": cpu,
        "count": len(scheduler.get_jobs()),
        "expected": jobs,
    }


def burst(package: str, jobs: int) -> dict[str, Any]:
    scheduler = Scheduler()
    due = datetime.now() - timedelta(milliseconds=1)
    for index in range(jobs):
        scheduler.every().hour.do(work, index).next_run = due
    watch = Watch()
    scheduler.run_pending()
    return rate(watch.seconds(), watch.cpu(), jobs)
