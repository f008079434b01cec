"""What add_job() costs in a running scheduler with the memory store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from .common import Watch, background, given, idle, memory

#: After so many jobs a program with a time limit looks at its watch.
LOOK = 1000


def interval(package: str, jobs: int, limit: int = 0) -> dict[str, Any]:
    start = datetime.now(UTC) + timedelta(hours=10)

    def add(add_job: Any, index: int) -> None:
        add_job(idle, "interval", seconds=36_000 + index % 3_600, **given(index, start_date=start))

    return _add(package, jobs, add, limit)


def cron(package: str, jobs: int) -> dict[str, Any]:
    """Each with a schedule of its own."""

    def add(add_job: Any, index: int) -> None:
        # Midnight is hours away or has just been: an hour that is not now.
        fields = {"month": 1 + index % 12, "day": 1 + index % 28, "hour": index % 24, "minute": index % 60}
        add_job(idle, "cron", **fields, **given(index))

    return _add(package, jobs, add)


def _add(package: str, jobs: int, add: Any, limit: int = 0) -> dict[str, Any]:
    scheduler = background(package)
    scheduler.start()
    add(scheduler.add_job, 0)  # what is loaded at the first job is not the cost of the others
    before, watch, added = memory(), Watch(), 1
    while added < jobs and not (limit and added % LOOK == 0 and watch.seconds() > limit):
        add(scheduler.add_job, added)
        added += 1
    seconds, cpu, after = watch.seconds(), watch.cpu(), memory()
    finished = added == jobs
    kept = len(scheduler.get_jobs())
    scheduler.shutdown()
    return {
        "figures": {
            "us": seconds / added * 1e6 if finished else None,
            "seconds": seconds if finished else None,
            "bytes": (after - before) / added,
        },
        "cpu": cpu if finished else None,
        "count": kept,
        "expected": added,
        "note": None if finished else f"{added:,} jobs in {limit} s",
    }
