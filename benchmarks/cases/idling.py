"""What a started scheduler uses while nothing is due."""

from __future__ import annotations

import time
from typing import Any

from .common import Watch, background, idle, switches


def background_scheduler(package: str, jobs: int, seconds: int) -> dict[str, Any]:
    scheduler = background(package)
    scheduler.start()
    for index in range(jobs):
        scheduler.add_job(idle, "interval", seconds=36_000 + index)
    time.sleep(0.5)  # the first pass after the last job was added
    watch, before = Watch(), switches()
    time.sleep(seconds)
    # The sleep itself is one switch.
    cpu, switched = watch.cpu(), switches() - before - 1
    kept = len(scheduler.get_jobs())
    scheduler.shutdown()
    return {
        "figures": {"cpu_ms": cpu * 1e3 * 60 / seconds, "switches": switched * 60 / seconds},
        "cpu": None,
        "count": kept,
        "expected": jobs,
    }
