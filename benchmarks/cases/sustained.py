"""Many one-second jobs on an event loop: which share of their runs happens, and how regularly."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from .common import ZONE, Watch, scheduler_class

#: when each job ran last, and the gaps between the runs of one job, in seconds
_last: list[float] = []
_gaps: list[float] = []


async def second_work(index: int) -> None:
    now = time.perf_counter()
    if _last[index]:
        _gaps.append(now - _last[index])
    _last[index] = now


def loop(package: str, jobs: int, seconds: int, grace: str = "default") -> dict[str, Any]:
    """Measure for some seconds after a warm-up.

    :param grace: "default": each package's own misfire grace time (1 s in APScheduler); "none": nothing is too late
    """
    return asyncio.run(_sustain(package, jobs, seconds, grace))


async def _sustain(package: str, jobs: int, seconds: int, grace: str) -> dict[str, Any]:
    _last.extend([0.0] * jobs)
    scheduler = scheduler_class(package, "asyncio", "AsyncIOScheduler")(timezone=ZONE)
    options = {} if grace == "default" else {"misfire_grace_time": None}
    scheduler.start(paused=True)
    begin = datetime.now(UTC)
    for index in range(jobs):
        # The due times are spread evenly over the second.
        scheduler.add_job(
            second_work,
            "interval",
            args=[index],
            seconds=1,
            start_date=begin + timedelta(seconds=index / jobs),
            **options,
        )
    scheduler.resume()
    await asyncio.sleep(2)
    _gaps.clear()
    watch = Watch()
    await asyncio.sleep(seconds)
    took, cpu, gaps = watch.seconds(), watch.cpu(), sorted(_gaps)
    scheduler.shutdown()
    await asyncio.sleep(0.2)
    # A job that never ran a second time in the window has no gap there, so the share counts what the gaps cannot show.
    owed = jobs * took
    return {
        "figures": {
            "share": len(gaps) / owed,
            "core": cpu / took,
            "p50": gaps[len(gaps) // 2] if gaps else None,
            "p99": gaps[len(gaps) * 99 // 100] if gaps else None,
        },
        # Processor time for each run; it says nothing where next to nothing ran.
        "cpu": cpu / len(gaps) if len(gaps) > owed / 20 else None,
        # More runs than nominal times would be as wrong as none.
        "count": min(len(gaps), int(owed * 1.02)),
        "expected": len(gaps),
    }
