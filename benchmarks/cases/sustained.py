"""Many one-second jobs: which share of their runs happens, how late they begin, and what a run costs."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from .common import Watch, background, idle, on_loop

#: Which job ran, and when (seconds since the epoch); list.append() is atomic.
seen: list[tuple[int, float]] = []


def second_work(index: int) -> None:
    seen.append((index, time.time()))


async def async_second_work(index: int) -> None:
    seen.append((index, time.time()))


def threads(package: str, jobs: int, seconds: int, warmup: int) -> dict[str, Any]:
    """Measure for some seconds after a warm-up; each package with its own defaults."""
    scheduler = background(package)
    scheduler.start(paused=True)
    begin = _fill(scheduler, jobs, second_work)
    scheduler.resume()
    time.sleep(max(0.0, begin + warmup - time.time()))
    window = Window(begin, jobs)
    time.sleep(seconds)
    found = window.close()
    scheduler.shutdown(wait=False)
    return found


def asyncio_loop(package: str, jobs: int, seconds: int, warmup: int) -> dict[str, Any]:
    """The same with coroutine functions on a loop."""

    async def sustain() -> dict[str, Any]:
        scheduler = on_loop(package)
        scheduler.start(paused=True)
        begin = _fill(scheduler, jobs, async_second_work)
        scheduler.resume()
        await asyncio.sleep(begin + warmup - time.time())
        window = Window(begin, jobs)
        await asyncio.sleep(seconds)
        found = window.close()
        scheduler.shutdown(wait=False)
        await asyncio.sleep(0.2)
        return found

    return asyncio.run(sustain())


def _fill(scheduler: Any, jobs: int, function: Any) -> float:
    """Add the jobs, their due times spread evenly over the second, and return when the first is due."""
    # Adding takes its time, and nothing may be owed before all jobs are there: try how long.
    watch, tries = Watch(), 300
    for _ in range(tries):
        scheduler.add_job(idle, "interval", hours=10)
    begin = datetime.now(UTC) + timedelta(seconds=0.5 + jobs * watch.seconds() / tries * 1.5)
    for index in range(jobs):
        start = begin + timedelta(seconds=index / jobs)
        scheduler.add_job(function, "interval", args=[index], seconds=1, start_date=start)
    return begin.timestamp()


class Window:
    """The measured seconds: from when this is made until it is closed."""

    def __init__(self, begin: float, jobs: int) -> None:
        self._begin, self._jobs = begin, jobs
        self._first, self._opened, self._watch = len(seen), time.time(), Watch()

    def close(self) -> dict[str, Any]:
        took, cpu, closed = self._watch.seconds(), self._watch.cpu(), time.time()
        runs = seen[self._first :]
        total = self._first + len(runs)
        owed = int(self._jobs * took)
        share = len(runs) / owed
        # Runs that were due before the window and happened in it balance those that it cuts off at its end.
        # 10 µs: the due times are rounded.
        late = sorted((at - self._begin - index / self._jobs + 1e-5) % 1.0 for index, at in runs)
        kept_up = share > 0.98  # else it is not known which of its times a run is for
        return {
            "figures": {
                "share": min(share, 1.0),
                "missed": max(0, owed - len(runs)) if share < 0.9995 else 0,
                "p50": late[len(late) // 2] * 1e3 if kept_up else None,
                "p99": late[len(late) * 99 // 100] * 1e3 if kept_up else None,
                "max": late[-1] * 1e3 if kept_up else None,
                "silence": self._silence(runs, closed),
                "cpu_ms": cpu / len(runs) * 1e6 if share > 0.05 else None,
                "core": cpu / took,
            },
            "cpu": cpu / len(runs) if share > 0.05 else None,
            # More runs than nominal times since the beginning would be as wrong as none.
            "count": min(total, int(self._jobs * (closed - self._begin + 1))),
            "expected": total,
        }

    def _silence(self, runs: list[tuple[int, float]], closed: float) -> float:
        """Return the longest time for which one job did not run."""
        last = [self._opened] * self._jobs
        longest = 0.0
        for index, at in runs:
            longest = max(longest, at - last[index])
            last[index] = at
        return max(longest, closed - min(last))
