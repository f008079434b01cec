"""Jobs on a database server of one's own: started for the measurement, on loopback, with every commit on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from tests.servers import private
from tests.servers.kinds import PostgreSQL, Redis

from . import common
from .common import Watch, background, everything, idle, past, work


class Durable(PostgreSQL):
    """The server of the tests, which do without fsync; what is measured does not."""

    def command(self) -> list[str]:
        return [word.replace("fsync=off", "fsync=on") for word in super().command()]


@contextmanager
def postgresql() -> Iterator[str]:
    """Start a server and yield its URL."""
    with private(Durable) as server:
        yield server.url()


@contextmanager
def _scheduler(package: str, server: str) -> Iterator[Any]:
    options: dict[str, Any]
    with private(Durable if server == "postgresql" else Redis) as started:
        if server == "postgresql":
            store = import_module(f"{package}.jobstores.sqlalchemy").SQLAlchemyJobStore
            options = {"url": started.url().replace("postgresql:", "postgresql+psycopg:")}
        else:
            store = import_module(f"{package}.jobstores.redis").RedisJobStore
            options = {"host": "127.0.0.1", "port": started.port}
        scheduler = background(package, jobstores={"default": store(**options)})
        scheduler.start(paused=True)
        try:
            yield scheduler
        finally:
            scheduler.shutdown()


def burst(package: str, server: str, jobs: int) -> dict[str, Any]:
    """Execute jobs that are due at once, until all have run and their runs are recorded (by those who record)."""
    common.expect(jobs)
    with _scheduler(package, server) as scheduler:
        due = past()
        for index in range(jobs):
            scheduler.add_job(
                work, "interval", args=[index], hours=1, next_run_time=due, misfire_grace_time=None
            )
        watch = Watch()
        scheduler.resume()
        everything.wait(80)
        recorded = common.recorded(scheduler, jobs)
        seconds, cpu = watch.seconds(), watch.cpu()
    return {
        "figures": {"seconds": seconds, "rate": jobs / seconds},
        "cpu": cpu,
        "count": common.counted_once(jobs) if recorded else -1,
        "expected": jobs,
    }


def adding(package: str, server: str, jobs: int) -> dict[str, Any]:
    """Add jobs one by one; each is in the database when add_job() returns."""
    with _scheduler(package, server) as scheduler:
        scheduler.add_job(idle, "interval", hours=10)
        watch = Watch()
        for index in range(jobs - 1):
            scheduler.add_job(idle, "interval", seconds=36_000 + index)
        seconds, cpu = watch.seconds(), watch.cpu()
        kept = len(scheduler.get_jobs())
    return {"figures": {"us": seconds / (jobs - 1) * 1e6}, "cpu": cpu, "count": kept, "expected": jobs}
