"""How long a scheduler takes to start whose jobs were added before."""

from __future__ import annotations

from typing import Any

from . import common
from .common import Watch, background, everything, idle, past, work


def pending(package: str, jobs: int) -> dict[str, Any]:
    """Measure from start() until the one job has run that is due; all others are due in some hours."""
    common.expect(1)
    scheduler = background(package)
    for index in range(jobs - 1):
        scheduler.add_job(idle, "interval", seconds=36_000 + index % 3_600)
    scheduler.add_job(work, "interval", args=[0], hours=1, next_run_time=past(), misfire_grace_time=None)
    watch = Watch()
    scheduler.start()
    everything.wait(60)
    seconds, cpu = watch.seconds(), watch.cpu()
    kept = len(scheduler.get_jobs())
    scheduler.shutdown()
    return {
        "figures": {"ms": seconds * 1e3},
        "cpu": cpu,
        "count": kept if common.counted_once(1) == 1 else -1,
        "expected": jobs,
    }
