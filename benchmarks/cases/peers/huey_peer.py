"""huey: one-off tasks that have been queued, taken by a consumer with ten threads."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huey import Huey, MemoryHuey, SqliteHuey

from .. import common
from ..bursts import rate
from ..common import Watch, everything, idle, work

WORKERS = 10


def adding(package: str, jobs: int, limit: int = 0) -> dict[str, Any]:
    """Queue tasks for some hours later; a consumer would move them to its schedule."""
    huey = MemoryHuey(results=False)
    task = huey.task()(idle)
    watch = Watch()
    for index in range(jobs):
        task.schedule(delay=36_000 + index % 3_600)
    seconds, cpu = watch.seconds(), watch.cpu()
    return {
        "figures": {"us": seconds / jobs * 1e6},
        "cpu": cpu,
        "count": huey.pending_count(),
        "expected": jobs,
    }


def burst(package: str, jobs: int) -> dict[str, Any]:
    return _burst(MemoryHuey(results=False), jobs)


def sqlite(package: str, server: str, jobs: int) -> dict[str, Any]:
    Path("build").mkdir(exist_ok=True)
    with TemporaryDirectory(dir="build") as folder:
        return _burst(SqliteHuey(filename=f"{folder}/huey.sqlite", results=False), jobs)


def _burst(huey: Huey, jobs: int) -> dict[str, Any]:
    common.expect(jobs)
    task = huey.task()(work)
    for index in range(jobs):
        task(index)
    consumer = huey.create_consumer(workers=WORKERS, periodic=False)
    watch = Watch()
    consumer.start()
    everything.wait(90)
    seconds, cpu = watch.seconds(), watch.cpu()
    consumer.stop(graceful=True)
    return rate(seconds, cpu, jobs)
