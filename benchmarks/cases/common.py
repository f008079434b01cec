"""What the measured programs share: schedulers by package name, counted jobs, memory, results."""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

#: Both packages get a zone with daylight saving time, as most schedules are written for one. The rows in UTC are measured
#: without, and with ids and starts that the program gives: there the peer has the least to do.
SUMMER_TIME, UTC_ZONE = "Europe/Berlin", "UTC"
zone = SUMMER_TIME

#: Indices of the jobs that have run, in the order in which they ended; list.append() is atomic.
executed: list[int] = []
everything = threading.Event()
expected = 0


def work(index: int) -> None:
    """The job: it does nothing but be counted."""
    executed.append(index)
    if len(executed) == expected:
        everything.set()


async def async_work(index: int) -> None:
    """The job as a coroutine function."""
    executed.append(index)
    if len(executed) == expected:
        everything.set()


def give_back(index: int) -> int:
    """The job in another process: its return value is counted in this one."""
    return index


def idle() -> None:
    """A job that is added and never due."""


def expect(count: int) -> None:
    global expected
    expected = count


def forget() -> None:
    """Count from the beginning."""
    executed.clear()
    everything.clear()


def scheduler_class(package: str, kind: str, name: str) -> Any:
    # Messages are not what is measured; both packages skip what is not logged.
    logging.basicConfig(level=logging.CRITICAL)
    return getattr(import_module(f"{package}.schedulers.{kind}"), name)


def background(package: str, **options: Any) -> Any:
    return scheduler_class(package, "background", "BackgroundScheduler")(timezone=zone, **options)


def on_loop(package: str) -> Any:
    return scheduler_class(package, "asyncio", "AsyncIOScheduler")(timezone=zone)


def use_zone(name: str) -> None:
    """Have the schedulers that are made from now on use a zone."""
    global zone
    zone = name


def given(index: int, **more: Any) -> dict[str, Any]:
    """Return what a job gets besides its schedule where programs give all that they can: an id, and what else is named."""
    return {"id": str(index), **more} if zone == UTC_ZONE else {}


def executor(package: str, module: str, name: str, **options: Any) -> Any:
    return getattr(import_module(f"{package}.executors.{module}"), name)(**options)


def past() -> datetime:
    """A moment that has passed when it is looked at."""
    return datetime.now(UTC) - timedelta(milliseconds=1)


def memory() -> int:
    """Return the bytes of this process that are in physical memory."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def switches() -> int:
    """Return how often this process has given up the processor to wait for something."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


class Watch:
    """Wall and processor time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self._wall

    def cpu(self) -> float:
        return time.process_time() - self._cpu


def wait_until_recorded(scheduler: Any) -> None:
    """Wait until all ends are in the ledger; a package without a ledger has nothing to wait for."""
    until = time.monotonic() + 80
    # health() asks the stores, so not too often.
    while hasattr(scheduler, "health") and scheduler.health()["in_flight"] and time.monotonic() < until:
        time.sleep(0.005)


def recorded(scheduler: Any, jobs: int) -> bool:
    """Whether the ledger shows so many runs as succeeded, in a package that has one."""
    if not hasattr(scheduler, "get_runs"):
        return True
    return len(scheduler.get_runs(status="succeeded", limit=jobs + 1)) == jobs


def counted_once(jobs: int) -> int:
    """Return how many jobs ran, or a number that cannot be right if one of them ran twice or a wrong one ran."""
    return len(executed) if sorted(executed) == list(range(jobs)) else -len(executed)
