"""Twice as much work as the workers can do: how much of what they can do is done, and what becomes of jobs that run once."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from .common import Watch, background

WORKERS = 10  # the thread pools' default
WORK = 0.01
#: One-off jobs for each second.
ONCE = 5

_runs: list[int] = []
_once: list[tuple[int, float]] = []


def recurring_work(index: int) -> None:
    time.sleep(WORK)
    _runs.append(index)


def one_off_work(index: int, due: float) -> None:
    late = time.time() - due
    time.sleep(WORK)
    _once.append((index, late))


def threads(package: str, seconds: int) -> dict[str, Any]:
    """Measure after a warm-up, each package with its own defaults; the capacity is measured before, with bare threads."""
    capacity = _capacity(min(seconds, 3))
    jobs = int(2 * capacity)
    scheduler = background(package)
    scheduler.start(paused=True)
    begin = datetime.now(UTC)
    for index in range(jobs):
        start = begin + timedelta(seconds=index / jobs)
        scheduler.add_job(recurring_work, "interval", args=[index], seconds=1, start_date=start)
    scheduler.resume()
    time.sleep(min(seconds, 3))
    first = time.time()
    for index in range(seconds * ONCE):
        due = first + index / ONCE
        scheduler.add_job(one_off_work, "date", run_date=datetime.fromtimestamp(due, UTC), args=[index, due])
    watch, before = Watch(), len(_runs) + len(_once)
    time.sleep(seconds)
    ran = len(_runs) + len(_once) - before
    took, cpu = watch.seconds(), watch.cpu()
    until = time.monotonic() + 10  # the last ones wait for their turn
    while len(_once) < seconds * ONCE and time.monotonic() < until:
        time.sleep(0.05)
    once = list(_once)
    scheduler.shutdown(wait=False)
    late = sorted(late for _, late in once)
    return {
        "figures": {
            "share": ran / took / capacity,
            "once": len(once) / (seconds * ONCE),
            "late": late[len(late) * 99 // 100] if late else None,
        },
        "cpu": cpu,
        "count": len({index for index, _ in once}),
        "expected": len(once),
    }


def _capacity(seconds: float) -> float:
    """Return the runs per second of bare threads that do nothing else."""
    ended: list[int] = []
    until = time.monotonic() + seconds

    def worker() -> None:
        while time.monotonic() < until:
            time.sleep(WORK)
            ended.append(1)

    watch = Watch()
    workers = [threading.Thread(target=worker) for _ in range(WORKERS)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    return len(ended) / watch.seconds()
