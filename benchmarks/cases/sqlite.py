"""Jobs in an SQLite file: due at once, and added one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import common
from .common import Watch, background, everything, idle, past, work


def burst(package: str, jobs: int) -> dict[str, Any]:
    """Execute jobs that are due at once, until all have run and their runs are recorded (by those who record)."""
    common.expect(jobs)
    with _scheduler(package) as scheduler:
        due = past()
        for index in range(jobs):
            scheduler.add_job(
                work, "interval", args=[index], hours=1, next_run_time=due, misfire_grace_time=None
            )
        watch = Watch()
        scheduler.resume()
        everything.wait(100)
        recorded = common.recorded(scheduler, jobs)
        seconds, cpu = watch.seconds(), watch.cpu()
    executed = common.counted_once(jobs)
    return {
        "figures": {"seconds": seconds, "rate": jobs / seconds},
        "cpu": cpu,
        "count": executed if recorded else -1,
        "expected": jobs,
    }


def adding(package: str, jobs: int) -> dict[str, Any]:
    """Add jobs one by one; each is on the disk when add_job() returns."""
    with _scheduler(package) as scheduler:
        scheduler.add_job(idle, "interval", hours=10)
        watch = Watch()
        for index in range(jobs - 1):
            scheduler.add_job(idle, "interval", seconds=36_000 + index)
        seconds, cpu = watch.seconds(), watch.cpu()
        kept = len(scheduler.get_jobs())
    return {"figures": {"us": seconds / (jobs - 1) * 1e6}, "cpu": cpu, "count": kept, "expected": jobs}


@contextmanager
def _scheduler(package: str) -> Iterator[Any]:
    store = import_module(f"{package}.jobstores.sqlalchemy").SQLAlchemyJobStore
    # Not the system's folder for temporary files, which may be in memory: what is durable has to reach a disk.
    Path("build").mkdir(exist_ok=True)
    with TemporaryDirectory(dir="build") as folder:
        scheduler = background(package, jobstores={"default": store(url=f"sqlite:///{folder}/jobs.sqlite")})
        scheduler.start(paused=True)
        try:
            yield scheduler
        finally:
            scheduler.shutdown()
