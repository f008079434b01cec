"""How exactly one job begins that is alone: one wake-up after the other, each some 20 ms ahead."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from typing import Any

from .common import background, on_loop

#: Wake-ups that come before the measured ones.
FIRST = 5
lateness: list[float] = []
woken_up = threading.Event()


def note(due: float) -> None:
    lateness.append(time.time() - due)
    woken_up.set()


async def async_note(due: float) -> None:
    lateness.append(time.time() - due)
    woken_up.set()


def ahead(index: int) -> float:
    """Return the next moment; the distances differ, so that nothing falls into step with a timer of the system."""
    return time.time() + 0.015 + (index * 7 % 10) / 1000


def threads(package: str, jobs: int) -> dict[str, Any]:
    scheduler = background(package)
    scheduler.start()
    for index in range(jobs + FIRST):
        due = ahead(index)
        scheduler.add_job(note, "date", run_date=datetime.fromtimestamp(due, UTC), args=[due])
        woken_up.wait(10)
        woken_up.clear()
    scheduler.shutdown()
    return result(jobs)


def asyncio_loop(package: str, jobs: int) -> dict[str, Any]:
    async def wake_up() -> None:
        scheduler = on_loop(package)
        scheduler.start()
        for index in range(jobs + FIRST):
            due = ahead(index)
            scheduler.add_job(async_note, "date", run_date=datetime.fromtimestamp(due, UTC), args=[due])
            await woken(due)
        scheduler.shutdown()
        await asyncio.sleep(0.1)

    asyncio.run(wake_up())
    return result(jobs)


async def woken(due: float) -> None:
    """Wait without disturbing the loop: nothing is looked at before the job should have run."""
    await asyncio.sleep(due - time.time() + 0.004)
    while not woken_up.is_set() and time.time() < due + 10:  # noqa: ASYNC110  # runs may be on any thread
        await asyncio.sleep(0.002)
    woken_up.clear()


def result(jobs: int) -> dict[str, Any]:
    measured = sorted(lateness[FIRST:])
    return {
        "figures": {
            "p50": measured[len(measured) // 2] * 1e3,
            "p99": measured[len(measured) * 99 // 100] * 1e3,
        },
        "cpu": None,
        # Nothing may begin before its time; a date has whole microseconds.
        "count": sum(late > -2e-6 for late in measured),
        "expected": jobs,
    }
