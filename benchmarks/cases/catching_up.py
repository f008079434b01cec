"""What a long sleep costs: frequent jobs whose next run was a week ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from . import common
from .common import Watch, background, everything

_seen: set[int] = set()


def first_work(index: int) -> None:
    """Count each job once: while the last one catches up, the first may already run again."""
    if index not in _seen:
        _seen.add(index)
        common.work(index)


def week(package: str, jobs: int) -> dict[str, Any]:
    common.expect(jobs)
    scheduler = background(package)
    scheduler.start(paused=True)
    asleep = datetime.now(UTC) - timedelta(days=7)
    for index in range(jobs):
        scheduler.add_job(
            first_work,
            "interval",
            args=[index],
            seconds=1,
            start_date=asleep,
            next_run_time=asleep,
            misfire_grace_time=None,
            coalesce=True,
        )
    watch = Watch()
    scheduler.resume()
    everything.wait(90)
    seconds, cpu = watch.seconds(), watch.cpu()
    scheduler.shutdown()
    return {
        "figures": {"ms": seconds * 1e3},
        "cpu": cpu,
        "count": common.counted_once(jobs),
        "expected": jobs,
    }
